"""Nonsense over HTTP and WebSocket: never a 5xx, always the error's shape, nobody else affected."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import httpx2
import msgspec
import pytest
from client import Admin, NexxusClient, error_body, replace, unique
from connection import Connection
from documents import open_application
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_websocket import frame, open_raw, read_frame, text_frame
from server import Endpoint, Server
from waiting import eventually

FUZZ = settings(
    max_examples=2 * settings.default.max_examples,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["task", "points", "$and", "$or", "replace", "incr", "wait=1", "..", "\x00"])
)
KEYS = st.text(max_size=6) | st.sampled_from(
    [
        *("id", "type", "title", "points", "tags", "dueDate", "location", "filter", "limit"),
        *("offset", "sort", "cursor", "userId", "patch", "op", "path", "value", "ifVersion"),
        *("model", "getOnly", "name", "$and", "$or", "$not", "eq", "in", "gt", "contains"),
        *("token", "refreshToken", "username", "password", "device", "event", "data", "ref"),
    ]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
ROUTES = [
    *(("POST", path) for path in ("/model/task", "/model/", "/model/task/search")),
    *(("POST", path) for path in ("/model/count", "/subscription/", "/device/register")),
    *(("POST", path) for path in ("/auth/refresh", "/auth/logout", "/user/register")),
    *(("PUT", path) for path in ("/model/task/x", "/model/x", "/device", "/user/")),
    *(("DELETE", path) for path in ("/model/task/x", "/model/x", "/subscription/")),
    ("POST", "/auth/local"),
    ("POST", "/admin/applications"),
]


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(open_application())


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    return await new_client(app).register_device()  # type: ignore[no-any-return]


def judge(response: httpx2.Response) -> None:
    assert response.status_code < 500, (response.request, response.text)
    if response.status_code >= 400:
        error_body(response)


async def still_serves(client: NexxusClient) -> None:
    task = await client.create("task", title="still here")
    assert await client.get("task", task["id"]) == task


# HTTP


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
@FUZZ
@given(route=st.sampled_from(ROUTES), body=JSON)
async def test_any_json_is_answered_properly(
    client: NexxusClient, route: tuple[str, str], body: Any
) -> None:
    content = msgspec.json.encode(body) if finite(body) else json.dumps(body).encode()
    headers: dict[str, str | None] = {"Content-Type": "application/json"}
    if route[1].startswith("/admin"):
        headers["Authorization"] = f"Bearer {client.endpoint.admin_key}"
    judge(await client.send(*route, headers=headers, content=content))


def finite(value: Any) -> bool:
    return "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value)


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
@FUZZ
@given(
    route=st.sampled_from(ROUTES),
    content=st.binary(max_size=60),
    kind=st.sampled_from(["application/json", "application/msgpack", "application/json;charset=x"]),
)
async def test_any_bytes_are_answered_properly(
    client: NexxusClient, route: tuple[str, str], content: bytes, kind: str
) -> None:
    headers: dict[str, str | None] = {"Content-Type": kind}
    judge(await client.send(*route, headers=headers, content=content))


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
@FUZZ
@given(body=st.dictionaries(KEYS, JSON, max_size=4), kind=st.sampled_from(["filter", "schema"]))
async def test_any_filter_and_any_schema_is_answered_properly(
    client: NexxusClient, admin: Admin, body: Any, kind: str
) -> None:
    if not finite(body):
        return
    if kind == "filter":
        judge(await client.send("POST", "/model/task/search", {"filter": body}))
    else:
        document = {"id": unique("fuzz"), "name": "x", "schema": {"thing": {"fields": body}}}
        headers: dict[str, str | None] = {"Authorization": f"Bearer {admin.endpoint.admin_key}"}
        judge(await client.send("POST", "/admin/applications", document, headers=headers))


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
@FUZZ
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"]),
    path=st.lists(
        st.sampled_from(["model", "task", "x", "search", "count", "device", "auth", "%00", "%ff"])
        | st.text("abc.%/-~é", max_size=5),
        max_size=5,
    ),
    header=st.sampled_from(["Prefer", "Idempotency-Key", "Accept", "Authorization", "nxx-app-id"]),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)
async def test_any_path_and_header_is_answered_properly(
    client: NexxusClient, method: str, path: list[str], header: str, value: str
) -> None:
    try:
        url = httpx2.URL(client.endpoint.url + "/" + "/".join(path))
    except httpx2.InvalidURL:
        return
    response = await client.send(method, url.raw_path.decode("ascii"), headers={header: value})
    assert response.status_code < 500, response.text
    if response.status_code >= 400 and method != "HEAD" and header != "Accept":
        error_body(response)


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b'{"title": "' + b"\\u0000" * 100_000 + b'"}',
        b'{"title": "\xed\xa0\x80"}',
        b'{"title": "\\ud800"}',
        b'{"title": 1' + b"0" * 5000 + b"}",
        b'{"title": "x", "points": 1e' + b"9" * 100 + b"}",
        b'{"title": "x", "title": "y"}',
        b"\xef\xbb\xbf{}",
        b'{"filter": {"$or": [' + b'{"points": 1},' * 50_000 + b"{}]}}",
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
async def test_a_bomb_is_refused_and_the_server_goes_on(
    client: NexxusClient, content: bytes
) -> None:
    headers: dict[str, str | None] = {"Content-Type": "application/json"}
    for path in ("/model/task", "/model/task/search"):
        response = await client.send("POST", path, headers=headers, content=content)
        judge(response)
    await still_serves(client)


@pytest.mark.contract("1. Tenancy and headers", "nonsense is answered with an error")
async def test_bytes_that_are_no_http_do_not_hurt(client: NexxusClient, endpoint: Endpoint) -> None:
    rng = random.Random(7)
    host, port = endpoint.url.removeprefix("http://").split(":")
    for noise in [
        b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /model/task HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        rng.randbytes(5000),
    ]:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(noise)
        writer.close()
    await still_serves(client)


@pytest.mark.contract("1. Tenancy and headers", "a slow sender holds nobody up")
async def test_half_sent_requests_hold_nobody_up(client: NexxusClient, endpoint: Endpoint) -> None:
    host, port = endpoint.url.removeprefix("http://").split(":")
    head = f"POST /model/task HTTP/1.1\r\nHost: x\r\nnxx-app-id: {client.app_id}\r\n"
    writers = []
    for number in range(50):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + (b"Content-Length: 900\r\n\r\n{" if number % 2 else b""))
        writers.append(writer)

    await still_serves(client)

    for writer in writers:
        writer.close()


# WebSocket


@pytest.mark.contract("6. WebSocket", "nonsense is answered with an error")
@FUZZ
@given(
    event=st.sampled_from(
        [
            *("register", "refresh_access_token", "subscribe", "unsubscribe", "resume"),
            *("create", "update", "delete", "reply", "model_created", ""),
        ]
    ),
    data=JSON,
    ref=st.none() | SCALARS,
)
async def test_any_frame_is_answered_and_the_connection_lives(
    client: NexxusClient, event: str, data: Any, ref: Any
) -> None:
    if not finite([data, ref]):
        return
    connection = await Connection.open(client.endpoint.ws_url)
    await connection.send("register", {"token": client.token})
    await connection.wait_for("register")
    seen = len(connection.frames)
    message: dict[str, Any] = {"event": event, "data": data}
    if ref is not None:
        message["ref"] = ref
    await connection.send_raw(json.dumps(message))

    answer = await connection.wait_for(lambda _: True, after=seen)
    if answer["event"] == "error":
        assert answer["data"]["code"] != "INTERNAL_SERVER_ERROR", answer
    elif answer["event"] == "reply":
        assert answer["data"]["status"] < 500, answer
    assert connection.is_open
    await connection.drop()


@pytest.mark.contract("6. WebSocket", "nonsense is answered with an error")
@FUZZ
@given(message=st.text(max_size=40) | st.binary(max_size=40))
async def test_any_message_is_answered_and_the_connection_lives(
    client: NexxusClient, message: str | bytes
) -> None:
    connection = await Connection.open(client.endpoint.ws_url)
    await connection.send_raw(message)

    answer = await connection.wait_for("error")

    assert answer["data"]["code"] == "INVALID_PARAMETERS"
    assert connection.is_open
    await connection.drop()


@pytest.mark.contract("6. WebSocket", "nonsense is answered with an error")
@pytest.mark.parametrize("port", ["gateway", "api"])
@pytest.mark.parametrize(
    "noise",
    [
        frame(3, b"reserved"),
        frame(1, b"\xff\xfe not utf-8"),
        frame(0, b"a continuation of nothing"),
        frame(8, b"\x03"),
        frame(9, b"x" * 200),
        bytes([0x81, 5]) + b"plain",  # a client must mask
        bytes([0x81, 0xFF]) + (1 << 62).to_bytes(8, "big"),
    ],
    ids=["opcode", "utf-8", "continuation", "close", "ping", "unmasked", "length"],
)
async def test_a_broken_frame_costs_only_its_own_connection(
    client: NexxusClient, endpoint: Endpoint, noise: bytes, port: str
) -> None:
    await client.connect()
    await client.subscribe("task", limit=5000)
    url = endpoint.ws_url if port == "gateway" else endpoint.api_ws_url
    reader, writer = await open_raw(url)

    writer.write(noise)

    async with asyncio.timeout(10):
        await reader.read(200)
    writer.close()
    await still_serves(client)
    await client.converged()


@pytest.mark.contract("6. WebSocket", "a slow consumer costs itself")
async def test_a_client_that_never_reads_is_dropped_and_the_others_are_told_on_time(
    tmp_path: Any,
) -> None:
    server = Server(tmp_path, "--set=gateway.send_buffer=65536")
    try:
        server.start()
        admin = Admin(server.endpoint)
        app = admin.create(open_application())
        slow = NexxusClient(server.endpoint, app["id"])
        quick = NexxusClient(server.endpoint, app["id"])
        await slow.register_device()
        await (await quick.register_device()).connect()
        view = await quick.subscribe("note", limit=5000)
        reader, writer = await open_raw(server.endpoint.ws_url, receive_buffer=2048)
        writer.write(text_frame(json.dumps({"event": "register", "data": {"token": slow.token}})))
        async with asyncio.timeout(10):
            assert (await read_frame(reader))[0] == 1
        await slow.ok("POST", "/subscription/", {"model": "note"})

        text = "x" * 100_000

        async def offline() -> bool:
            await quick.create("note", text=text)
            return (await slow.ok("GET", "/device"))["status"] == "offline"

        # Until what the kernel buffers is full, nothing is wrong with the slow one.
        await eventually(offline, patience=60)
        await quick.converged(view)
        writer.close()
        for client in (slow, quick):
            await client.close()
            client.check()
        admin.close()
        assert server.stop() == 0
    finally:
        server.close()


@pytest.mark.contract("6. WebSocket", "a slow consumer costs itself")
async def test_a_client_that_asks_and_never_reads_the_answers_harms_nobody(
    client: NexxusClient, endpoint: Endpoint, app: Any, new_client: Any
) -> None:
    greedy = await new_client(app).register_device()
    _, writer = await open_raw(endpoint.ws_url, receive_buffer=2048)
    writer.write(text_frame(json.dumps({"event": "register", "data": {"token": greedy.token}})))
    await client.create("note", text="x" * 50_000)
    request = {"event": "subscribe", "ref": "1", "data": {"model": "note"}}
    for _ in range(2000):
        if writer.is_closing():
            break
        writer.write(text_frame(json.dumps(request)))

    await still_serves(client)
    await client.connect()
    view = await client.subscribe("task", limit=5000)
    await client.update("task", (await client.create("task", title="x"))["id"], replace(points=1))
    await client.converged(view)
    writer.close()
