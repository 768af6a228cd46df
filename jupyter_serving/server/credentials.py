"""Who a request comes from, and a form of credential that Jupyter itself does not read."""

from __future__ import annotations

import base64
import binascii
import getpass
from typing import Any

from tornado.httputil import HTTPHeaders


def name_of(user: Any) -> str:
    """Name of the authenticated user.

    Jupyter's token and password stand for nobody in particular: each request gets a new random identity. There the
    user is whoever runs the server.
    """
    if getattr(user, "name", "").startswith("Anonymous "):
        return getpass.getuser()
    return str(getattr(user, "username", user))


def accept_basic(headers: HTTPHeaders) -> None:
    """Turn ``Authorization: Basic token:<token>`` (``curl -u token:...``) into the bearer form that Jupyter knows.

    Not for browsers, which send such credentials on their own, also for a foreign page: a token skips the XSRF check.
    """
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic" or "Origin" in headers or "Sec-Fetch-Site" in headers:
        return
    try:
        user, _, token = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    if user == "token" and token:
        headers["Authorization"] = f"Bearer {token}"
