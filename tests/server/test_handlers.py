"""Routes: who may, what arrives behind, what comes back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import httpx
import pytest
from jupyter_server.auth.authorizer import Authorizer

from .upstreams import until

CONTROL = "/api/2.0/serving-endpoints"
MODEL = "/api/2.0/jupyter-serving/models/sha256:abc"
DATA = "/serving-endpoints/e/invocations"
VERBS = [
    ("GET", CONTROL),
    ("GET", CONTROL + "/"),
    ("HEAD", CONTROL + "/e"),
    ("POST", CONTROL),
    ("PUT", CONTROL + "/e/config"),
    ("PATCH", CONTROL + "/e/tags"),
    ("DELETE", CONTROL + "/e"),
    ("GET", ""),
    ("GET", "/api/2.0/jupyter-serving/status"),
    ("POST", "/api/2.0/jupyter-serving/shutdown"),
    ("GET", MODEL),
    ("HEAD", MODEL),
    ("PUT", MODEL),
    ("POST", MODEL),
    ("GET", "/serving-endpoints/e/openapi"),
    ("GET", "/v2/models"),
    ("POST", "/v2/models/e/infer"),
    ("HEAD", DATA),
    ("POST", DATA),
    ("PUT", DATA),
    ("PATCH", DATA),
    ("DELETE", DATA),
]


class EverybodyIsRefused(Authorizer):
    """Denies everything and remembers what it was asked."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.asked = []

    def is_authorized(self, handler, user, action, resource):
        self.asked.append((action, resource))
        return False


def service_of(path, controller, gateway):
    return gateway if path.startswith(("/serving-endpoints", "/v2")) else controller


@pytest.mark.parametrize("method,path", VERBS)
async def test_no_credential_no_entry(anybody, url, controller, gateway, method, path):
    answer = await anybody.request(method, url + path, content=b"{}")
    assert answer.status_code == 403
    if method != "HEAD":
        body = answer.json()
        assert body["error_code"] == "PERMISSION_DENIED"
        assert "Authorization: Bearer" in body["message"]
    assert not controller.requests and not gateway.requests
    assert not controller.uploaded


@pytest.mark.parametrize("method,path", VERBS)
async def test_the_authoriser_is_asked_on_every_verb(
    serving, http, url, controller, gateway, method, path
):
    settings = serving.serverapp.web_app.settings
    settings["authorizer"] = refuser = EverybodyIsRefused(parent=serving.serverapp)
    answer = await http.request(method, url + path, content=b"{}")
    assert answer.status_code == 403
    if method != "HEAD":
        assert "not authorized" in answer.json()["message"]
    expected = {"GET": "read", "HEAD": "read"}.get(method, "write")
    if method == "POST" and path in (DATA, "/v2/models/e/infer"):
        expected = "execute"
    assert set(refuser.asked) == {(expected, "serving")}
    assert not controller.requests and not gateway.requests
    assert not controller.uploaded


@pytest.mark.parametrize("method,path", [v for v in VERBS if v[0] != "HEAD" and v[1] != MODEL])
async def test_each_route_reaches_its_service(http, url, controller, gateway, method, path):
    answer = await http.request(method, url + path, content=b"{}")
    assert answer.status_code == 200
    seen = answer.json()
    service = service_of(path, controller, gateway)
    assert seen["service"] == service.path.stem
    assert seen["method"] == method
    assert seen["uri"] == (path or "/")
    assert len(service.requests) == 1


async def test_well_known_needs_neither_credential_nor_controller(anybody, url, places):
    answer = await anybody.get(url + "/.well-known/databricks-config")
    assert (answer.status_code, answer.json()) == (200, {})
    assert not places.data.exists()


@pytest.mark.parametrize("scheme", ["token", "bearer", "Bearer"])
async def test_bearer_token_opens(anybody, url, controller, jp_serverapp, scheme):
    token = jp_serverapp.identity_provider.token
    answer = await anybody.get(url + CONTROL, headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == 200


async def test_basic_form_of_curl_opens_but_not_for_a_browser(
    anybody, url, controller, jp_serverapp
):
    token = jp_serverapp.identity_provider.token
    basic = {"Authorization": "Basic " + base64.b64encode(f"token:{token}".encode()).decode()}
    assert (await anybody.post(url + CONTROL, headers=basic)).status_code == 200
    wrong = {"Authorization": "Basic " + base64.b64encode(b"token:wrong").decode()}
    assert (await anybody.post(url + CONTROL, headers=wrong)).status_code == 403
    from_page = {**basic, "Origin": "http://evil.example"}
    assert (await anybody.post(url + CONTROL, headers=from_page)).status_code in (403, 404)
    assert len(controller.requests) == 1


@pytest.fixture
def browser(serving, jp_asyncio_loop):
    """A client that keeps cookies."""
    client = httpx.AsyncClient(timeout=30, trust_env=False)
    yield client
    jp_asyncio_loop.run_until_complete(client.aclose())


async def log_in(browser, url, token):
    """Log in as a person does, which also sets the XSRF cookie; returns its value."""
    login = url.removesuffix("jupyter-serving") + "login"
    await browser.get(login)
    xsrf = browser.cookies["_xsrf"]
    await browser.post(login, data={"password": token, "_xsrf": xsrf})
    return xsrf


async def test_a_cookie_alone_may_read_but_writes_only_with_the_xsrf_token(
    browser, url, controller, jp_serverapp
):
    xsrf = await log_in(browser, url, jp_serverapp.identity_provider.token)
    assert (await browser.get(url + CONTROL)).status_code == 200
    refused = await browser.post(url + CONTROL, content=b"{}")
    assert refused.status_code == 403
    assert "X-XSRFToken" in refused.json()["message"]
    accepted = await browser.post(url + CONTROL, content=b"{}", headers={"X-XSRFToken": xsrf})
    assert accepted.status_code == 200
    assert [r["method"] for r in controller.requests] == ["GET", "POST"]
    for request in controller.requests:
        names = [name for name, _ in request["headers"]]
        assert "cookie" not in names and "x-xsrftoken" not in names


async def test_a_foreign_page_with_the_cookie_is_refused(browser, url, controller, jp_serverapp):
    xsrf = await log_in(browser, url, jp_serverapp.identity_provider.token)
    foreign = {"Origin": "http://evil.example", "X-XSRFToken": xsrf}
    answer = await browser.post(url + CONTROL, content=b"{}", headers=foreign)
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert not controller.requests


async def test_what_travels_on_and_what_stays_here(http, url, gateway, jp_serverapp):
    token = jp_serverapp.identity_provider.token
    answer = await http.post(
        url + DATA + f"?a=1&token={token}&b=%2F",
        content=b'{"inputs": [1]}',
        headers={
            "Content-Type": "application/json",
            "X-Request-Id": "r-1",
            "X-Jupyter-Serving-User": "somebody-else",
            "X-Forwarded-Prefix": "/elsewhere",
            "Referer": f"{url}?token={token}",
        },
    )
    seen = answer.json()
    assert seen["uri"] == DATA + "?a=1&b=%2F"
    headers = seen["headers"]
    assert ["content-type", "application/json"] in headers
    assert ["x-request-id", "r-1"] in headers
    assert ["content-length", "15"] in headers
    assert [v for k, v in headers if k == "x-forwarded-prefix"] == ["/a%40b/jupyter-serving"]
    users = [v for k, v in headers if k == "x-jupyter-serving-user"]
    assert len(users) == 1 and users[0] not in ("", "somebody-else")
    assert token not in json.dumps(seen)


async def test_answers_cannot_weaken_jupyters_origin(http, url, controller):
    answer = await http.get(url + CONTROL)
    assert "stolen" not in answer.headers.get("set-cookie", "")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "application/vnd.echo+json"
    assert answer.headers["served-model-name"] == "m-1"
    assert answer.headers.get_list("x-many") == ["a", "b"]


async def test_names_keep_their_percent_encoding(http, url, controller):
    path = "/api/2.0/serving-endpoints/a%2Fb%20%C3%A9%25?x=%26"
    answer = await http.get(url + path)
    assert answer.json()["uri"] == path


@pytest.mark.parametrize("path", ["/serving-endpoints/../api/2.0/x", "/serving-endpoints/%2e%2E/x"])
async def test_dot_segments_are_refused(http, url, controller, gateway, path):
    target = url + "/"
    request = http.build_request("POST", target, content=b"")
    prefix = httpx.URL(url).raw_path.decode()
    request.extensions["target"] = (prefix + path).encode()
    answer = await http.send(request)
    assert answer.status_code == 400
    assert not controller.requests and not gateway.requests


async def test_errors_of_a_service_pass_unchanged(http, url, controller):
    answer = await http.get(url + CONTROL + "/missing")
    assert answer.status_code == 404
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["message"] == "no such endpoint"


async def test_a_method_that_a_route_lacks(http, url):
    answer = await http.post(url + "/.well-known/databricks-config")
    assert answer.status_code == 405
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "POST" in answer.json()["message"]


async def test_events_come_piece_by_piece(http, url, gateway):
    async with http.stream(
        "POST", url + "/serving-endpoints/streamed/invocations", content=b"{}"
    ) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        pieces = answer.aiter_raw()
        # The next event is only made when the one before has been seen here.
        for number in range(3):
            event = b"data: %d\n\n" % number
            gateway.pieces.put_nowait(event)
            assert await asyncio.wait_for(anext(pieces), 20) == event
        gateway.pieces.put_nowait(None)
        assert [piece async for piece in pieces] == []


async def test_an_answer_that_breaks_off_does_not_look_complete(http, url, gateway):
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(url + "/serving-endpoints/cut/invocations", content=b"{}")


async def test_fifty_held_predictions_do_not_delay_a_list(http, url, controller, gateway, serving):
    held = [
        asyncio.create_task(http.post(url + "/serving-endpoints/held/invocations", content=b"{}"))
        for _ in range(50)
    ]
    await until(lambda: gateway.held == 50, "fifty predictions held at the gateway")
    assert serving.current_activity() == 50
    listed = await http.get(url + CONTROL)
    assert listed.status_code == 200
    assert not gateway.release.is_set() and not any(task.done() for task in held)
    gateway.release.set()
    assert {answer.status_code for answer in await asyncio.gather(*held)} == {200}
    assert serving.current_activity() is None


async def test_a_prediction_outlasts_every_default_time_out(http, url, gateway):
    # 20 s is the default of tornado's client, 5 s of httpx. The wait itself is what is tested.
    asyncio.get_running_loop().call_later(21, gateway.release.set)
    answer = await http.post(
        url + "/serving-endpoints/held/invocations", content=b"{}", timeout=None
    )
    assert answer.json() == {"predictions": [1]}


async def test_a_client_that_leaves_frees_its_place(http, url, gateway, serving):
    waiting = asyncio.create_task(
        http.post(url + "/serving-endpoints/held/invocations", content=b"{}")
    )
    await until(lambda: gateway.held == 1, "the prediction at the gateway")
    waiting.cancel()
    await until(lambda: gateway.gone == 1, "the end of the connection at the gateway")
    await until(lambda: serving.current_activity() is None, "the end of the prediction here")


async def test_a_client_that_leaves_a_stream_closes_it(http, url, gateway):
    async with http.stream(
        "POST", url + "/serving-endpoints/streamed/invocations", content=b"{}"
    ) as answer:
        gateway.pieces.put_nowait(b"data: 1\n\n")
        await anext(answer.aiter_raw())
    await until(lambda: gateway.gone == 1, "the end of the connection at the gateway")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path,limit", [(DATA, 16 * 1024**2 + 64 * 1024), (CONTROL, 1024**2)])
async def test_a_body_over_the_limit_is_refused_in_words(
    http, url, controller, gateway, path, limit, chunked
):
    body = b"x" * (limit + 1)

    async def pieces():
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    answer = await http.post(url + path, content=pieces() if chunked else body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "MB" in answer.json()["message"]
    assert not controller.requests and not gateway.requests


async def test_a_body_at_the_limit_passes_whole(http, url, gateway):
    body = bytes(range(256)) * (16 * 1024 * 4)
    answer = await http.post(url + DATA, content=body)
    assert answer.json()["size"] == 16 * 1024**2
    assert answer.json()["digest"] == hashlib.sha256(body).hexdigest()


async def test_a_refused_client_may_finish_sending(anybody, url, gateway):
    answer = await anybody.post(url + DATA, content=b"x" * (20 * 1024**2))
    assert answer.status_code == 403
    assert "Bearer" in answer.json()["message"]


async def test_a_client_that_asks_first_is_told_before_it_sends(
    url, jp_http_port, jp_auth_header, serving
):
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    path = httpx.URL(url + DATA).raw_path.decode()
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 40000000\r\n"
        f"Expect: 100-continue\r\nAuthorization: {jp_auth_header['Authorization']}\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()


async def test_reading_the_control_plane_is_no_activity_but_traffic_is(
    http, url, controller, gateway, serving
):
    settings = serving.serverapp.web_app.settings
    settings.pop("api_last_activity", None)
    await http.get(url + CONTROL)
    assert "api_last_activity" not in settings
    assert "serving" not in settings["last_activity_times"]
    await http.post(url + CONTROL, content=b"{}")
    assert "api_last_activity" in settings
    await http.post(url + DATA, content=b"{}")
    assert settings["last_activity_times"]["serving"] <= serving.serverapp.web_app.last_activity()


async def test_a_preflight_is_answered_here(anybody, url, controller):
    answer = await anybody.options(url + CONTROL)
    assert answer.status_code == 200
    assert not controller.requests
