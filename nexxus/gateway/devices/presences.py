"""Presences: which connection holds a device, and what happens when that connection is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nexxus.cluster.messages import ConnectionReplaced
from nexxus.domain.channels import Subscription
from nexxus.errors import ServiceUnavailable, WireError
from nexxus.gateway.connections.connection import Connection
from nexxus.gateway.connections.deadlines import Deadlines
from nexxus.gateway.devices.absences import Absences
from nexxus.gateway.devices.notices import Notices
from nexxus.gateway.devices.resident import Resident
from nexxus.gateway.devices.residents import Residents
from nexxus.gateway.seams import ClientActions, TokenClaims
from nexxus.interfaces.logger import Logger
from nexxus.interfaces.registry import Placement, Presence, Registry
from nexxus.interfaces.transport import CloseCode

_RETRY_AFTER = 1.0
"""Seconds until ended subscriptions are removed again from a registry that was away."""


class Presences:
    """Claims devices for connections and releases them, here and in the registry."""

    def __init__(
        self,
        *,
        notices: Notices,
        registry: Registry,
        residents: Residents,
        deadlines: Deadlines,
        absences: Absences,
        actions: ClientActions,
        logger: Logger,
    ) -> None:
        self._notices = notices
        self._registry = registry
        self._residents = residents
        self._cursors = residents.log.cursors
        self._place = residents.place
        self._deadlines = deadlines
        self._absences = absences
        self._actions = actions
        self._logger = logger
        self._is_stopping = False

    def stop(self) -> None:
        """Stop: other nodes take over what this node keeps for its devices, or it ends."""
        self._is_stopping = True
        self._absences.stop()

    async def claim(
        self,
        connection: Connection,
        claims: TokenClaims,
        verify_again: Callable[[TokenClaims], Awaitable[TokenClaims]],
        *,
        resumes: bool = False,
    ) -> None:
        """Give the token's device to the connection and answer ``register``.

        A device that `resumes` has not received all earlier events. `verify_again` is called after
        the registry knows the connection: if the session ends later, the connection is found there;
        if it has ended before, this call notices.
        """
        async with self._residents.hold(claims.app_id, claims.device_id) as device:
            presence = self._place.presence(claims.app_id, claims.device_id, connection)
            former = await self._registry.presence.connect(presence)
            try:
                claims = await verify_again(claims)
                left_behind = await self._find_left_behind(device, connection, claims)
            except BaseException:
                await self._give_back(presence, former)
                raise
            if former is not None and not self._place.has(former):
                self._tell_replaced(former)
            self._change_connection(device, connection, claims)
            for placement in left_behind:
                device.is_foreign = True
                subscription = self._as_permitted(placement)
                if subscription is not None:
                    self._residents.install(device, subscription, is_kept=True)
            if connection.is_closing:
                self.part(connection)
                await self._after_release(device, presence)
                return
            connection.await_first_frame()
            device.begun = self._residents.log.advance()
            if not device.subscriptions:
                self._residents.go_live(device)
            self.welcome(connection, resumes=resumes)

    def welcome(self, connection: Connection, *, resumes: bool = False) -> None:
        """Answer ``register`` with the cursor of a client that has missed nothing until now."""
        cursor = self._cursors.write(self._residents.log.seq)
        data = {"success": True, "cursor": cursor}
        connection.send("register", data, cursor=None if resumes else cursor)

    def renew(self, connection: Connection, claims: TokenClaims) -> None:
        """Extend the connection's life to that of the token."""
        connection.claims = claims
        if connection.device is not None:
            connection.device.claims = claims
        expires = asyncio.get_running_loop().time() + claims.expires_at - time.time()
        connection.registered(expires)

    def part(self, connection: Connection) -> Resident | None:
        """Take the device from a connection that is gone. `release` must follow."""
        device = connection.device
        if device is None:
            return None
        self._residents.withdraw(device)
        device.resume_window = connection.resume_window
        device.silent_until = self._now() + device.resume_window
        return device

    async def release(self, device: Resident, connection: Connection) -> None:
        """Record in the registry that the connection is gone; keep its subscriptions for a
        while."""
        async with self._residents.hold(device.app_id, device.device_id) as held:
            presence = self._place.presence(device.app_id, device.device_id, connection)
            await self._after_release(held, presence)

    async def end_session(self, app_id: str, device_id: str, session_id: str) -> None:
        """Close the device's connection as logged out, if its session has ended.

        The connection may be of another session than the one that was ended: of a later one, which
        is live, or of an earlier one that the ended one has replaced.
        """
        if self._residents.find(app_id, device_id) is None:
            return
        async with self._residents.hold(app_id, device_id) as device:
            claims = device.claims
            if claims is None:
                return
            if claims.session_id != session_id and await self._is_live(claims):
                return
            connection = device.connection
            if connection is not None:
                self._residents.withdraw(device)
                device.silent_until = self._now()
                connection.close(CloseCode.LOGGED_OUT, "logged_out")
                presence = self._place.presence(app_id, device_id, connection)
                await self._absences.report_lost(device, presence, has_ended=True)
            await self._forget_or_retry(device, self._unsubscribe)

    async def _is_live(self, claims: TokenClaims) -> bool:
        """Return whether a session is live. One that cannot be looked up counts as ended."""
        try:
            await self._actions.verify_again(claims)
        except WireError:
            return False
        return True

    async def end_silence(self, device: Resident) -> None:
        """Remove what was kept for a device that did not come back in time."""
        async with self._residents.hold(device.app_id, device.device_id) as held:
            until = held.silent_until
            if until is None:
                return  # It came back.
            if until <= self._now():
                await self._forget_or_retry(held, self._release)
            else:  # it came back and left again, or the timer was a fraction early
                self._deadlines.set(held, until)

    async def _after_release(self, device: Resident, presence: Presence) -> None:
        await self._absences.report_lost(device, presence)
        if device.connection is not None:
            return  # It is back already.
        if not device.resume_window:
            if self._is_stopping:
                device.silent_until = None  # The node's subscriptions go with the node.
            else:
                await self._forget_or_retry(device, self._release)
        elif device.silent_until is not None:
            self._deadlines.set(device, device.silent_until)

    async def _forget_or_retry(
        self,
        device: Resident,
        forget: Callable[[Resident, list[str]], Awaitable[None]],
    ) -> None:
        try:
            await forget(device, list(device.subscriptions))
            device.silent_until = None
        except ServiceUnavailable as error:
            self._logger.warning("ended subscriptions are still in the registry", reason=str(error))
            device.silent_until = self._now() + _RETRY_AFTER
            self._deadlines.set(device, device.silent_until)

    async def _release(self, device: Resident, channels: list[str]) -> None:
        """Stop serving these subscriptions. They end unless they are persistent.

        Those that other nodes have taken over stay.
        """
        if channels:
            await self._registry.subscriptions.release(
                device.app_id, device.device_id, channels, served_by=self._place.key
            )
        self._residents.remove(device, channels)

    async def _unsubscribe(self, device: Resident, channels: list[str]) -> None:
        """End these subscriptions, except those that other nodes have taken over."""
        if channels:
            await self._registry.subscriptions.remove(
                device.app_id, device.device_id, channels, served_by=self._place.key
            )
        self._residents.remove(device, channels)

    async def _find_left_behind(
        self, device: Resident, connection: Connection, claims: TokenClaims
    ) -> list[Placement]:
        """Return the subscriptions that other nodes have left and that may be kept; end the rest.

        A session that replaced another one keeps its subscriptions, if the user is the same.
        Without resuming, subscriptions end with their connection.
        """
        is_known = not device.is_vacant
        is_same = device.claims is not None and _user_of(device.claims) == _user_of(claims)
        former = device.connection
        window = device.resume_window if former is None else former.resume_window
        if is_known and not (is_same and window and connection.resume_window):
            await self._unsubscribe(device, list(device.subscriptions))
            return []
        placements = await self._registry.subscriptions.placements(device.app_id, device.device_id)
        if is_known:
            servers = {placement.served_by for placement in placements}
            if servers == {self._place.key}:
                return []
            # It has been to another node since, and events have gone there.
            if not servers:  # that node has died: what is known here is all that is known
                device.is_foreign = bool(device.subscriptions)
                return []
            self._residents.remove(device, list(device.subscriptions))
        kept = [
            placement for placement in placements if self._may_stay(placement, connection, claims)
        ]
        ended = [each.subscription.channel_id for each in placements if each not in kept]
        if ended:
            await self._registry.subscriptions.remove(device.app_id, device.device_id, ended)
        return kept

    def _may_stay(self, placement: Placement, connection: Connection, claims: TokenClaims) -> bool:
        """Return whether a subscription that another node has left may be kept for the device."""
        subscription = placement.subscription
        if not (connection.resume_window or subscription.is_persistent):
            return False
        if self._as_permitted(placement) is None:
            return False
        return (subscription.user_id, subscription.user_type) == _user_of(claims)

    def _as_permitted(self, placement: Placement) -> Subscription | None:
        """Return the subscription under the current roles; a serving node has updated it itself."""
        if placement.served_by is not None:
            return placement.subscription
        return self._actions.reroute(placement.subscription)

    async def _give_back(self, presence: Presence, former: Presence | None) -> None:
        """Undo a claim that failed."""
        if former is None:
            await self._registry.presence.disconnect(presence)
        else:
            await self._registry.presence.connect(former)

    def _change_connection(
        self, device: Resident, connection: Connection, claims: TokenClaims
    ) -> None:
        predecessor = device.connection
        if predecessor is not None:
            device.replaced = self._residents.log.seq
            self._residents.withdraw(device)
            predecessor.close(CloseCode.REPLACED, "replaced")
        device.silent_until = None
        device.connection = connection
        connection.device = device
        self.renew(connection, claims)

    def _tell_replaced(self, former: Presence) -> None:
        message = ConnectionReplaced(former.app_id, former.device_id, former.connection_id)
        self._notices.send(former, message)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _user_of(claims: TokenClaims) -> tuple[str | None, str | None]:
    return claims.user_id, claims.user_type
