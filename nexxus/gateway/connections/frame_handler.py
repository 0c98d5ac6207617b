"""Handles a client's frames: registering, resuming, and the operations that HTTP also has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, cast

from nexxus.domain.frames import OPERATIONS, WRITE_OPERATIONS, WriteEvent
from nexxus.domain.spelling import hint
from nexxus.errors import (
    InvalidParameters,
    ServerError,
    ServiceUnavailable,
    UserTokenExpired,
    WireError,
)
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.connections.frames import ClientFrame
from nexxus.gateway.connections.requests import PeerRequest, Registration
from nexxus.gateway.devices.presences import Presences
from nexxus.gateway.devices.resuming import Resuming
from nexxus.gateway.devices.subscribing import Subscribing
from nexxus.gateway.seams import ClientActions, TokenClaims
from nexxus.interfaces.logger import Logger

_DONE: Final = (200, {"success": True})


class FrameHandler:
    """Handles the messages of all connections; see `RequestQueue` for what may overlap."""

    def __init__(
        self,
        *,
        actions: ClientActions,
        presences: Presences,
        resuming: Resuming,
        subscribing: Subscribing,
        max_depth: int,
        logger: Logger,
    ) -> None:
        self._actions = actions
        self._presences = presences
        self._resuming = resuming
        self._subscribing = subscribing
        self._max_depth = max_depth
        self._logger = logger

    async def handle(
        self, connection: Connection, message: PeerRequest, pass_on: Callable[[], None]
    ) -> None:
        """Handle one message. Every error is sent to the client; none is raised."""
        try:
            frame = self._read(message)
            if frame is not None and frame.event == "ping":
                _answer_ping(connection, message, frame)
                return
            is_first = connection.awaits_first_frame
            connection.awaits_first_frame = False
            if frame is None or frame.event not in WRITE_OPERATIONS:
                await connection.earlier_answered()
            if is_first and (frame is None or not _is_resume(frame)):
                await self._resuming.start_anew(connection)
            if frame is not None:
                if isinstance(message, Registration):
                    status, data = await self._register_identity(connection, message)
                else:
                    status, data = await self._act(connection, frame, pass_on, is_first=is_first)
                message.answer(status, data)
        except WireError as error:
            message.refuse(error)
        except Exception:
            self._logger.exception("a client's frame could not be handled")
            message.refuse(ServerError("the server failed; try again"))

    def _read(self, message: PeerRequest) -> ClientFrame | None:
        """Return the frame of a message, or None if the message was refused."""
        try:
            return message.read(self._max_depth)
        except WireError as error:
            message.refuse(error)
        return None

    async def _act(
        self,
        connection: Connection,
        frame: ClientFrame,
        pass_on: Callable[[], None],
        *,
        is_first: bool,
    ) -> tuple[int, Any]:
        """Perform what the frame asks for. Returns the status and data of the answer."""
        if frame.event == "register":
            token = _only_string(frame, "token")
            return await self._register(connection, await self._actions.verify_token(token))
        if connection.claims is None:
            raise InvalidParameters(
                'send {"event": "register", "data": {"token": …}} first: '
                "this connection has no device yet"
            )
        if frame.event in OPERATIONS:
            return await self._operate(connection, connection.claims.caller, frame, pass_on)
        if frame.event == "refresh_access_token":
            return await self._refresh(connection, frame, connection.claims)
        return await self._resume(connection, frame, is_first=is_first)

    async def _operate(
        self, connection: Connection, caller: Any, frame: ClientFrame, pass_on: Callable[[], None]
    ) -> tuple[int, Any]:
        self._actions.count(caller)
        if frame.event == "subscribe":
            return 200, await self._subscribing.subscribe(connection, caller, frame.data)
        if frame.event == "unsubscribe":
            return 200, await self._subscribing.unsubscribe(connection, caller, frame.data)
        event = cast("WriteEvent", frame.event)
        return await self._actions.write(caller, event, frame.data, pass_on)

    async def _register(self, connection: Connection, claims: TokenClaims) -> tuple[int, Any]:
        _require_unexpired(claims)
        if connection.is_closing:
            raise ServiceUnavailable("the connection has ended")
        if connection.claims is None:
            await self._presences.claim(connection, claims, self._actions.verify_again)
            return _DONE
        _require_same_device(connection.claims, claims)
        self._presences.renew(connection, claims)
        self._presences.welcome(connection)
        return _DONE

    async def _register_identity(
        self, connection: Connection, message: Registration
    ) -> tuple[int, Any]:
        claims = await self._actions.verify_identity(message.identity)
        _require_unexpired(claims)
        if connection.claims is not None or connection.is_closing:
            raise ServiceUnavailable("the connection has ended, or has already registered a device")
        cursor = message.cursor
        verify_again = self._actions.verify_again
        await self._presences.claim(connection, claims, verify_again, resumes=cursor is not None)
        connection.awaits_first_frame = False
        if cursor is None:
            await self._resuming.start_anew(connection)
        else:
            await self._resuming.resume(connection, cursor)
        return _DONE

    async def _refresh(
        self, connection: Connection, frame: ClientFrame, present: TokenClaims
    ) -> tuple[int, Any]:
        claims = await self._actions.verify_token(_only_string(frame, "token"))
        _require_unexpired(claims)
        _require_same_device(present, claims)
        if not connection.is_closing:
            self._presences.renew(connection, claims)
            connection.send("refresh_access_token", {"success": True})
        return _DONE

    async def _resume(
        self, connection: Connection, frame: ClientFrame, *, is_first: bool
    ) -> tuple[int, Any]:
        cursor = _only_string(frame, "cursor")
        if not is_first:
            raise InvalidParameters(
                "resume is the first frame after register, sent within its first seconds"
            )
        try:
            await self._resuming.resume(connection, cursor)
        except ServiceUnavailable:
            await self._resuming.start_anew(connection)
            raise
        return _DONE


def _answer_ping(connection: Connection, message: PeerRequest, frame: ClientFrame) -> None:
    """Answer a ``ping``, for peers that cannot see the protocol's own pings."""
    _check_keys(frame)
    connection.send("pong", {})
    message.answer(*_DONE)


def _require_unexpired(claims: TokenClaims) -> None:
    if claims.expires_at <= time.time():
        raise UserTokenExpired("the access token has expired; refresh it")


def _is_resume(frame: ClientFrame) -> bool:
    return frame.event == "resume" and isinstance(frame.data.get("cursor"), str)


def _only_string(frame: ClientFrame, name: str) -> str:
    """Return the value of the only key that the frame's data may have."""
    _check_keys(frame, name)
    value: Any = frame.data.get(name)
    if not isinstance(value, str):
        raise InvalidParameters(
            f"data.{name}: a {frame.event} frame needs it, a string", {"field": name}
        )
    return value


def _check_keys(frame: ClientFrame, *known: str) -> None:
    for key in frame.data:
        if key not in known:
            shown, keys = key[:64], ", ".join(known) or "no keys"
            raise InvalidParameters(
                f"data: unknown key {shown!r} in a {frame.event} frame"
                f"{hint(shown, known) or f'; it has {keys}'}",
                {"field": shown},
            )


def _require_same_device(present: TokenClaims, claims: TokenClaims) -> None:
    if (claims.app_id, claims.device_id) != (present.app_id, present.device_id):
        raise InvalidParameters(
            "the token belongs to another device; open another connection for that device"
        )
