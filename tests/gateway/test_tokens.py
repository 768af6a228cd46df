import base64
import os
import socket
from pathlib import Path

import pytest

from jupyter_serving.errors import NotFound, PermissionDenied, Unauthenticated
from jupyter_serving.gateway.routes import Endpoint, Table
from jupyter_serving.gateway.tokens import check, digest_of, is_own_user, peer_uid, token_in

from .replicas import HealthyReplica, running
from .world import TOKEN, endpoint, entity, post, scenario, world_in


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer   abc ", b"abc"),
        (basic("token:abc"), b"abc"),
        (basic("abc:"), b"abc"),
        (b"Basic not-base64!", None),
        (b"Digest abc", None),
        (b"Bearer", None),
        (b"", None),
        (None, None),
    ],
)
def test_tokens_are_read_from_both_schemes(header: bytes | None, token: bytes | None) -> None:
    assert token_in(header) == token


def table() -> Table:
    return Table(
        Endpoint(name, "1", 1, "OPEN", tokens=(digest_of(token),))
        for name, token in (("mine", b"aa"), ("other", b"bb"))
    )


@pytest.mark.parametrize(
    ("name", "header", "error"),
    [
        ("mine", None, Unauthenticated),
        ("mine", b"Bearer zz", Unauthenticated),
        ("nobody", None, Unauthenticated),
        ("nobody", b"Bearer zz", Unauthenticated),
        ("nobody", b"Bearer aa", NotFound),
        ("other", b"Bearer aa", PermissionDenied),
    ],
)
def test_who_may_not_query(name: str, header: bytes | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(table(), name, header)


def test_the_endpoints_own_token_is_let_in() -> None:
    check(table(), "mine", b"Bearer aa")
    check(table(), "other", basic("token:bb"))


def test_the_peer_of_a_unix_socket_is_known() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert peer_uid(left) == os.getuid()
        assert is_own_user(left)


def test_another_user_is_not_own(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert not is_own_user(left)


@scenario
async def test_tcp_needs_a_token_and_the_unix_socket_does_not(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire())))
            nobody = await world.tcp(token=None)
            bare = await post(nobody)
            assert (bare.status_code, bare.json()["error_code"]) == (401, "UNAUTHENTICATED")
            assert "jupyter serving deploy" in bare.json()["message"]
            unknown = await post(nobody, "no-such-endpoint")
            assert unknown.json() == bare.json(), "names must not leak"
            assert (await nobody.get("/health")).status_code == 200
            assert replica.begun == 0
            assert (await post(nobody, auth=("token", TOKEN))).status_code == 200
            known = await world.tcp()
            assert (await post(known, "no-such-endpoint")).status_code == 404
            spoofed = await post(known, headers={"x-jupyter-serving-user": "root"})
            assert spoofed.status_code == 200
            assert "x-jupyter-serving-user" not in replica.heads[-1]
            assert (await post(world.unix())).status_code == 200
