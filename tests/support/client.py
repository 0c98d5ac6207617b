"""A strict Nexxus client: it does what the contract tells a client to do, and asserts the rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections import defaultdict
from types import TracebackType
from typing import Any, Self

import httpx2
from connection import Connection, Frame
from server import Endpoint
from view import CREATED, DELETED, UPDATED, Document, Ledger, View
from waiting import PATIENCE, eventually

EVENT_KEYS = {
    CREATED: {"event", "model", "metadata"},
    UPDATED: {"event", "model", "patches", "metadata"},
    DELETED: {"event", "model", "reason", "metadata"},
}
IDENTITY = {"id", "type", "appId", "userId", "version"}


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def replace(**fields: Any) -> Document:
    """A patch that sets fields; ``__`` in a name stands for a dot of the path."""
    return {
        "op": "replace",
        "path": [name.replace("__", ".") for name in fields],
        "value": list(fields.values()),
    }


def assert_error(
    response: httpx2.Response, status: int, name: str, *mentions: str
) -> dict[str, Any]:
    """The answer is this error, in the one shape that errors have, and speaks of `mentions`."""
    assert response.status_code == status, (response.status_code, response.text)
    body = error_body(response)
    assert body["error"] == name, body
    for word in mentions:
        assert word in json.dumps(body, ensure_ascii=False), f"{word!r} is not named: {body}"
    return body


def error_body(response: httpx2.Response) -> dict[str, Any]:
    """The body of an answer that must be an error, whichever it is."""
    assert response.status_code >= 400, (response.status_code, response.text)
    assert response.headers["content-type"].split(";")[0] == "application/json", response.headers
    body: dict[str, Any] = response.json()
    assert set(body) - {"details"} == {"error", "message", "requestId"}, body
    assert isinstance(body["error"], str), body
    assert body["error"].endswith("Exception"), body
    assert isinstance(body["message"], str), body
    assert body["message"], body
    assert "Traceback" not in response.text, body
    return body


def new_http(timeout: float = 60) -> httpx2.AsyncClient:
    """A client with room for many requests at once."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(timeout),
        limits=httpx2.Limits(max_connections=64, max_keepalive_connections=64),
        trust_env=False,
        verify=False,  # nothing here is TLS, and loading the certificates is slow
    )


_REFUSALS = {400: "InvalidParametersException", 409: "ApplicationAlreadyExistsException"}


class Admin:
    """Manages the applications of a server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.http = httpx2.Client(
            base_url=f"{endpoint.url}/admin",
            headers={"Authorization": f"Bearer {endpoint.admin_key}"},
            timeout=60,
            trust_env=False,
        )

    def create(self, document: Document) -> Document:
        """Create an application; the application as answered."""
        response = self.http.post("/applications", json=document)
        assert response.status_code == 201, response.text
        data: Document = response.json()["data"]
        return data

    def put(self, app_id: str, document: Document) -> Document:
        """Replace top-level keys of an application."""
        response = self.http.put(f"/applications/{app_id}", json=document)
        assert response.status_code == 200, response.text
        data: Document = response.json()["data"]
        return data

    def set_user(self, app_id: str, user_id: str, **change: Any) -> None:
        """Change a user's type, or disable or enable it."""
        response = self.http.put(f"/applications/{app_id}/users/{user_id}", json=change)
        assert response.status_code == 200, response.text

    def refused(self, document: Document, *mentions: str, status: int = 400) -> None:
        """An application that cannot be created, for a reason that names each of `mentions`."""
        name = _REFUSALS[status]
        assert_error(self.http.post("/applications", json=document), status, name, *mentions)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()


class NexxusClient:
    """One device of an application, over HTTP and at most one WebSocket.

    `repeats` allows what the contract allows after a crash of the server: that an event comes
    again. With a `ping_interval` in seconds it notices a server that has fallen silent. Broken
    promises are collected in `violations` and raised by `check`, which leaving the client calls.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        app_id: str,
        *,
        http: httpx2.AsyncClient | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.app_id = app_id
        self.http = http or new_http()
        self.ledger = ledger or Ledger()
        self.token: str | None = None
        self.refresh_token: str | None = None
        self.device_id: str | None = None
        self.user_id: str | None = None
        self.connection: Connection | None = None
        self.cursor: str | None = None
        self.views: dict[str, View] = {}
        self.rejections: dict[str, Document] = {}
        self.violations: list[str] = []
        self.repeats = False
        self.ping_interval: float | None = None
        self.resyncs = 0
        self._resuming = False
        self._ended: set[str] = set()
        self._owns_http = http is None
        self._early: list[list[tuple[str, str, Document]]] = []
        self._told: set[tuple[Any, ...]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
        if error is None:
            self.check()

    async def close(self) -> None:
        """Close the connection; the session stays."""
        if self.connection is not None:
            await self.connection.close()
        for task in self._tasks:
            task.cancel()
        if self._owns_http:
            await self.http.aclose()

    def check(self) -> None:
        """Fail if the server has broken a promise towards this client."""
        if self.connection is not None and self.connection.failure is not None:
            self.violations.append(str(self.connection.failure))
            self.connection.failure = None
        assert not self.violations, "\n".join(self.violations[:5])

    # HTTP

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str | None] | None = None,
        authorized: bool = True,
        **options: Any,
    ) -> httpx2.Response:
        """One request as it is; a header of None is left out."""
        sent: dict[str, str | None] = {"nxx-app-id": self.app_id}
        if authorized and self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= headers or {}
        if body is not None:
            options["content"] = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        return await self.http.request(
            method,
            self.endpoint.url + path,
            headers={name: value for name, value in sent.items() if value is not None},
            **options,
        )

    async def ok(
        self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any
    ) -> Any:
        """A request that succeeds with `status`; its JSON."""
        response = await self.send(method, path, body, **options)
        assert response.status_code == status, (
            f"{method} {path} {body}: {response.status_code} {response.text}"
        )
        return response.json()

    async def refused(
        self,
        method: str,
        path: str,
        body: Any = None,
        *mentions: str,
        status: int = 400,
        error: str = "InvalidParametersException",
        **options: Any,
    ) -> dict[str, Any]:
        """A request that fails so, with an error that names each of `mentions`."""
        response = await self.send(method, path, body, **options)
        return assert_error(response, status, error, *mentions)

    async def denied(self, method: str, path: str, body: Any = None) -> None:
        """A request that roles do not allow."""
        await self.refused(method, path, body, status=403, error="AccessDeniedException")

    # Sessions

    def adopt(self, session: Document) -> Self:
        """Use the tokens of a session's answer."""
        self.token, self.refresh_token = session["token"], session["refreshToken"]
        if "device" in session:
            self.device_id = session["device"]["id"]
        if "user" in session:
            self.user_id = session["user"]["id"]
        return self

    async def register_device(self, name: str = "a device") -> Self:
        """Become a device of an application without users."""
        return self.adopt(await self.ok("POST", "/device/register", {"name": name}))

    async def register_user(
        self, username: str, password: str = "correct horse", **more: Any
    ) -> Self:
        """Become a new user."""
        body = {"username": username, "password": password, **more}
        return self.adopt(await self.ok("POST", "/user/register", body, authorized=False))

    async def sign_in(self, username: str, password: str = "correct horse", **more: Any) -> Self:
        """Become a user that exists."""
        body = {"username": username, "password": password, **more}
        return self.adopt(await self.ok("POST", "/auth/local", body, authorized=False))

    async def refresh(self) -> Self:
        """Rotate the tokens."""
        body = {"refreshToken": self.refresh_token}
        return self.adopt(await self.ok("POST", "/auth/refresh", body, authorized=False))

    # Objects

    async def write(
        self, method: str, path: str, body: Any = None, *, wait: bool = True, **headers: str
    ) -> httpx2.Response:
        """A write; with `wait` one that is stored, or rejected, when this returns."""
        sent: dict[str, str | None] = {k.replace("_", "-"): v for k, v in headers.items()}
        if wait:
            sent["Prefer"] = "wait=20"
        return await self.send(method, path, body, headers=sent)

    async def create(self, model: str, /, *, wait: bool = True, **fields: Any) -> Document:
        """Create an object; the object with `wait`, else ``{id, type, operationId}``."""
        response = await self.write("POST", f"/model/{model}", fields, wait=wait)
        return self._written(response, 201 if wait else 202)

    async def update(
        self, model: str, object_id: str, patch: Any, *, wait: bool = True, **more: Any
    ) -> Document:
        """Patch an object; the object with `wait`, else ``{operationId}``."""
        body = {"patch": patch, **more}
        response = await self.write("PUT", f"/model/{model}/{object_id}", body, wait=wait)
        return self._written(response, 200 if wait else 202)

    async def delete(
        self, model: str, object_id: str, *, wait: bool = True, **more: Any
    ) -> Document:
        """Delete an object; ``{id, type, version}`` with `wait`, else ``{operationId}``."""
        response = await self.write(
            "DELETE", f"/model/{model}/{object_id}", more or None, wait=wait
        )
        return self._written(response, 200 if wait else 202)

    def _written(self, response: httpx2.Response, status: int) -> Document:
        assert response.status_code == status, (response.status_code, response.text)
        body = response.json()
        assert set(body) == {"message", "data"}, body
        data: Document = body["data"]
        if "createdAt" in data and "version" in data:
            self.ledger.note(data, "a write's answer")
        return data

    async def get(self, model: str, object_id: str) -> Document:
        """Read an object that is there."""
        answer = await self.ok("GET", f"/model/{model}/{object_id}")
        assert set(answer) == {"data"}, answer
        if "version" in answer["data"]:
            self.ledger.note(answer["data"], "a reading")
        data: Document = answer["data"]
        return data

    async def search(self, model: str, **query: Any) -> list[Document]:
        """One page of a search."""
        return (await self.search_page(model, **query))["items"]  # type: ignore[no-any-return]

    async def search_page(self, model: str, **query: Any) -> Document:
        """One page of a search with its cursor."""
        answer = await self.ok("POST", f"/model/{model}/search", query)
        assert set(answer) == {"data"}, answer
        assert set(answer["data"]) <= {"items", "cursor"}, answer
        data: Document = answer["data"]
        for item in data["items"]:
            self.ledger.note(item, "a search")
        return data

    async def search_all(self, model: str, **query: Any) -> list[Document]:
        """All pages of a search, by cursor."""
        items: list[Document] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.search_page(model, limit=100_000, **query, **cursor)
            items += page["items"]
            if "cursor" not in page:
                return items
            cursor = {"cursor": page["cursor"]}

    async def count(self, model: str, **query: Any) -> int:
        """How many objects match."""
        answer = await self.ok("POST", "/model/count", {"type": model, **query})
        assert set(answer) == {"data"}, answer
        return answer["data"]["count"]  # type: ignore[no-any-return]

    async def fate(self, operation_id: str) -> Document:
        """What became of an operation."""
        answer = await self.ok("GET", f"/operation/{operation_id}")
        data: Document = answer["data"]
        assert set(data) <= {"id", "state", "version", "error"}, data
        return data

    async def decided(self, operation_id: str) -> Document:
        """The operation's fate, once it is applied or rejected."""

        async def fate() -> Document | None:
            found = await self.fate(operation_id)
            return found if found["state"] != "queued" else None

        decided: Document = await eventually(fate)
        return decided

    # The connection

    @property
    def socket(self) -> Connection:
        """The connection, which must have been made."""
        assert self.connection is not None, "not connected"
        return self.connection

    async def connect(
        self, *, resume: bool = False, url: str | None = None, protocol: str | None = None
    ) -> Self:
        """Connect and register; with `resume`, go on from the last cursor.

        Without it, or when the server answers with a ``resync``, the views are read anew in the
        background: `settled` waits for that.
        """
        if self.connection is not None:
            self.connection.detach()
        cursor = self.cursor
        self._told.clear()
        self._resuming = resume
        self.connection = await Connection.open(
            url or self.endpoint.ws_url,
            protocol=protocol,
            on_frame=self._on_frame,
            ping_interval=self.ping_interval,
        )
        await self.connection.send("register", {"token": self.token})
        registered = await self.connection.wait_for(lambda f: f["event"] in ("register", "error"))
        assert registered["event"] == "register", registered
        assert registered["data"]["success"] is True, registered
        if resume:
            assert cursor is not None, "there is nothing to resume from"
            await self.connection.send("resume", {"cursor": cursor})
            await self.connection.wait_for(lambda f: f["event"] in ("resume", "resync"))
        else:
            self._ended |= set(self.views)
        for channel in self._ended & set(self.views):
            self._spawn(self._subscribe_again(self.views[channel]))
        return self

    async def drop(self) -> None:
        """Lose the connection without a word."""
        await self.socket.drop()

    async def wait_for(self, match: Any, **options: Any) -> Frame:
        """A frame of the present connection; see `Connection.wait_for`."""
        frame = await self.socket.wait_for(match, **options)
        self.check()
        return frame

    async def told(self, object_id: str, version: int) -> Frame:
        """The frame of the present connection that is about this version of an object."""
        return await self.wait_for(
            lambda frame: (
                frame["event"] in EVENT_KEYS
                and frame["data"]["model"]["id"] == object_id
                and frame["data"]["model"]["version"] == version
            )
        )

    def _on_frame(self, frame: Frame) -> None:
        event, data = frame["event"], frame.get("data")
        if event in EVENT_KEYS:
            assert isinstance(data, dict), frame
            self._on_event(event, data)
            return
        begins_anew = event == "register" and not self._resuming
        if (begins_anew or event in ("resume", "resync")) and isinstance(data, dict):
            # The cursor of `register` says where a connection without a past begins.
            self.cursor = data.get("cursor", self.cursor)
        if event == "resume":
            self._resuming = False
        if event == "resync":
            assert isinstance(data, dict), frame
            self._on_resync(data["channels"])
        elif event == "unsubscribed":
            assert isinstance(data, dict), frame
            assert set(data) == {"channels", "error", "message"}, frame
            for channel in data["channels"]:
                self._forget(self.views[channel])
        elif event == "error":
            assert isinstance(data, dict), frame
            if data["code"] == "OPERATION_REJECTED":
                assert set(data) == {"code", "message", "operationId", "error"}, frame
                self.rejections[data["operationId"]] = data["error"]

    def _on_event(self, event: str, data: Document) -> None:
        assert set(data) == EVENT_KEYS[event], f"keys of {event}: {sorted(data)}"
        assert data["event"] == event, data
        model, metadata = data["model"], data["metadata"]
        assert model["appId"] == self.app_id, data
        if event != CREATED:
            assert {"id", "type", "appId", "version"} <= set(model) <= IDENTITY, data
        channels = metadata["channels"]
        assert channels, data
        assert len(set(channels)) == len(channels), data
        self.cursor = metadata.get("cursor", self.cursor)
        if "version" in model and data.get("reason") != "denied" and not self.repeats:
            told = (event, model["type"], model["id"], model["version"])
            assert told not in self._told, f"a second frame of {told}"
            self._told.add(told)
        for channel in channels:
            view = self.views.get(channel)
            if view is None:
                for early in self._early:
                    early.append((channel, event, data))
            else:
                view.may_repeat = self.repeats
                view.feed(event, data)

    def _on_resync(self, channels: list[str]) -> None:
        """Read the named channels anew; in answer to a resume, the others have ended."""
        whole, self._resuming = self._resuming, False
        self.resyncs += 1
        self._told.clear()
        for channel, view in list(self.views.items()):
            if channel in channels:
                self._spawn(self._reload(view, view.expect_page()))
            elif whole:
                self._ended.add(channel)

    # Subscriptions

    async def subscribe(self, model: str, /, *, over: str = "http", **descriptor: Any) -> View:
        """Follow a channel; an existing view of the same channel is given back, read anew."""
        view = View({"model": model, **descriptor}, self.ledger, self._read_through)
        return await self._subscribe(view, over)

    async def _subscribe_again(self, view: View) -> None:
        """Follow a channel anew whose subscription has ended.

        When the connection is lost meanwhile, that is left to the next one.
        """
        connection = self.connection
        try:
            await self._subscribe(view, patiently=True)
        except (AssertionError, httpx2.TransportError):
            view.give_up_page()
            if connection is self.connection and self.socket.is_open:
                raise

    async def _subscribe(self, view: View, over: str = "http", *, patiently: bool = False) -> View:
        page = view.expect_page()
        early: list[tuple[str, str, Document]] = []
        self._early.append(early)
        try:
            body = {**view.descriptor, **view.paging}
            if over == "http":
                ask = self._patiently if patiently else self.send
                response = await ask("POST", "/subscription/", body)
                assert response.status_code == 200, response.text
                answer = response.json()
                assert set(answer) == {"data"}, answer
                data = answer["data"]
            else:
                reply = await self.socket.request("subscribe", body)
                assert reply["status"] == 200, reply
                data = reply["data"]
        finally:
            # By identity: two lists that hold the same events are equal.
            self._early = [kept for kept in self._early if kept is not early]
        assert {"channelId", "items"} <= data.keys() <= {"channelId", "items", "cursor"}, data
        channel = data["channelId"]
        former = self.views.get(channel)
        if former is not None and former is not view:
            self._forget(view)
            await self._reload(former, former.expect_page())
            return former
        if view.channel_id != channel:
            self._forget(view)
        view.channel_id = channel
        self.views[channel] = view
        self._ended.discard(channel)
        for its_channel, event, event_data in early:
            if its_channel == channel:
                view.may_repeat = self.repeats
                view.feed(event, event_data)
        self._take_page(view, page, data["items"])
        return view

    async def unsubscribe(self, view: View, *, over: str = "http") -> None:
        """Stop following a channel."""
        if over == "http":
            answer = await self.ok("DELETE", "/subscription/", view.descriptor)
            assert answer == {"data": {"channel": view.channel_id}}, answer
        else:
            reply = await self.socket.request("unsubscribe", view.descriptor)
            assert reply == {"status": 200, "data": {"channel": view.channel_id}}, reply
        self._forget(view)

    def _forget(self, view: View) -> None:
        self.views.pop(view.channel_id, None)
        self._ended.discard(view.channel_id)

    async def _reload(self, view: View, page: int) -> None:
        body = {**view.descriptor, **view.paging, "getOnly": True}
        response = await self._patiently("POST", "/subscription/", body)
        if response.status_code == 403:  # nothing of the model is permitted any more
            view.take_page(page, [], complete=True)
            return
        assert response.status_code == 200, response.text
        self._take_page(view, page, response.json()["data"]["items"])

    def _take_page(self, view: View, page: int, items: list[Document]) -> None:
        asked = view.paging.get("limit")
        complete = "offset" not in view.paging and asked is not None and len(items) < asked
        view.take_page(page, items, complete=complete)

    async def _read_through(self, view: View, object_id: str) -> Document | None:
        body = dict(view.search_body)
        if "id" not in body:
            own = body.get("filter")
            body["filter"] = {"$and": [own, {"id": object_id}]} if own else {"id": object_id}
        path = f"/model/{view.descriptor['model']}/search"
        response = await self._patiently("POST", path, body)
        if response.status_code == 403:
            return None
        assert response.status_code == 200, response.text
        items = response.json()["data"]["items"]
        assert len(items) <= 1, items
        return items[0] if items else None

    async def _patiently(self, method: str, path: str, body: Document) -> httpx2.Response:
        """A reading that outlives a restart of the server."""
        async with asyncio.timeout(120):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    response = await self.send(method, path, body)
                    if response.status_code != 503:
                        return response
                await asyncio.sleep(0.05)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(finished: asyncio.Task[Any]) -> None:
            self._tasks.discard(finished)
            if not finished.cancelled() and finished.exception() is not None:
                self.violations.append(repr(finished.exception()))

        task.add_done_callback(done)

    # Convergence

    async def truth(self, view: View) -> dict[str, Document]:
        """What the database answers to the view's query now, for this client, by id."""
        items = await self.search_all(view.descriptor["model"], **view.search_body)
        return {item["id"]: item for item in items}

    async def settled(self) -> None:
        """Return when no view is reading a page or an object."""
        await eventually(
            lambda: not self._tasks and all(view.is_settled for view in self.views.values()),
            patience=60,
        )
        self.check()

    async def converged(
        self, *views: View, truth: dict[str, Document] | None = None, patience: float = PATIENCE
    ) -> None:
        """Return when these views (all, if none is named) equal the database's answers.

        To be called when writes have stopped; `truth` is the answer where it is known.
        """
        for view in views or tuple(self.views.values()):
            answer = await self.truth(view) if truth is None else truth

            def differs(view: View = view, answer: dict[str, Document] = answer) -> list[str]:
                self.check()
                if not view.is_settled:
                    return ["still reading"]
                return view.differences(answer)

            try:
                await eventually(lambda differs=differs: not differs(), patience=patience)
            except AssertionError:
                self.check()
                found = differs()
                known = (await self.ok("GET", "/device"))["subscriptions"]
                whose = "follows" if view.channel_id in known else "does not follow"
                raise AssertionError(
                    f"{len(found)} differences; as the server knows it, the device {whose} "
                    f"{view.descriptor}. First:\n" + "\n".join(found[:3])
                ) from None
        self.check()


def by_model(frames: list[Frame]) -> dict[str, list[Frame]]:
    """The model events among frames, by the object's id."""
    found: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame["event"] in EVENT_KEYS:
            found[frame["data"]["model"]["id"]].append(frame)
    return found
