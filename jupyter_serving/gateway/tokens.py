"""Who is calling: bearer tokens on TCP, the peer's user on unix sockets.

Tokens are known only as sha256 digests (they are long and random, so a slow hash would protect nothing). The
documentation's curl examples send a token as the password of the user ``token``, so Basic is understood as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import socket
import struct
from typing import Any

from ..errors import PermissionDenied, Unauthenticated
from .endpoint import Endpoint
from .routes import Table

_MISSING = "This endpoint needs a token: send `Authorization: Bearer <token>`."
_UNKNOWN = "This token is not known here: it was deleted, or belongs to another installation."
_HINT = "Get one from `jupyter serving deploy … --json` or POST /api/2.0/serving-endpoints/{name}/tokens."
# sys/un.h and sys/ucred.h of macOS
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


def digest_of(token: bytes) -> str:
    """Sha256 of a token, in hex: the only form in which tokens are kept."""
    return hashlib.sha256(token).hexdigest()


def token_in(authorization: bytes | None) -> bytes | None:
    """The token of an ``Authorization`` header (Bearer, or Basic with the token as password); None without one."""
    scheme, _, rest = (authorization or b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip() or None
    if scheme.lower() != b"basic":
        return None
    try:
        user, _, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password or user or None


def check(table: Table, name: str, authorization: bytes | None) -> Endpoint:
    """Let the caller query endpoint ``name``, which is returned, or raise.

    Raises:
        Unauthenticated: no token, or one that no endpoint has (told before whether the endpoint exists).
        PermissionDenied: a token of another endpoint.
        NotFound: a known token, but no such endpoint.
    """
    digest = known(table, authorization)
    endpoint = table.find(name)
    matches = [hmac.compare_digest(digest, known) for known in endpoint.tokens]
    if True not in matches:
        raise PermissionDenied(
            f"This token belongs to another endpoint than {name!r}.",
            hint=f"Get one from POST /api/2.0/serving-endpoints/{name}/tokens.",
        )
    return endpoint


def known(table: Table, authorization: bytes | None) -> str:
    """Digest of the caller's token, which some endpoint has; raises ``Unauthenticated``."""
    token = token_in(authorization)
    if token is None:
        raise Unauthenticated(_MISSING, hint=_HINT)
    digest = digest_of(token)
    if not table.knows_token(digest):
        raise Unauthenticated(_UNKNOWN, hint=_HINT)
    return digest


def peer_uid(sock: Any) -> int | None:
    """User id of the process at the other end of a unix socket; None where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):
        facts = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", facts)[1])
    try:
        facts = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("2I", facts)[1])
    except OSError:
        return None


def is_own_user(sock: Any) -> bool:
    """True where the peer runs as this user.

    A system that cannot tell is trusted as far as the socket's 0600 mode and its 0700 directory go.
    """
    uid = peer_uid(sock)
    return uid is None or uid == os.getuid()
