"""The devices as a change of roles sees them: their subscriptions, and objects taken from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nexxus.cluster.messages import SessionEnded
from nexxus.domain.channels import Subscription
from nexxus.errors import WireError
from nexxus.gateway.delivery.audiences import Audiences
from nexxus.gateway.delivery.frames import identify
from nexxus.gateway.devices.reconciliation import Reconciliation
from nexxus.gateway.devices.resident import DeviceView
from nexxus.gateway.devices.residents import Residents


class NarrowedDevices:
    """The `nexxus.objects.narrowing.NarrowingHost` of one gateway.

    `end_session` closes a device's connection as logged out.
    """

    def __init__(
        self,
        residents: Residents,
        reconciliation: Reconciliation,
        audiences: Audiences,
        end_session: Callable[[SessionEnded], None],
    ) -> None:
        self._residents = residents
        self._reconciliation = reconciliation
        self._audiences = audiences
        self._end_session = end_session

    def devices(self, app_id: str) -> list[DeviceView]:
        """Return the application's devices on this node with their subscriptions, silent ones
        too."""
        return list(self._residents.views(app_id))

    async def adopt(self, app_id: str, device_id: str) -> None:
        """See `Reconciliation.adopt`."""
        await self._reconciliation.adopt(app_id, device_id)

    async def serve(self, subscription: Subscription) -> None:
        """See `Reconciliation.serve`."""
        await self._reconciliation.serve(subscription)

    def end_sessions(self, app_id: str) -> None:
        """Close every connection of an application whose session has ended, as logged out."""
        for device in self.devices(app_id):
            # Not its present session: the device may be registering with another one just now.
            self._end_session(SessionEnded(app_id, device.device_id, session_id=""))

    def send_resync(self, app_id: str, device_id: str, channels: list[str]) -> None:
        """Have a device read channels again, such as where it may see more than before."""
        device = self._residents.find(app_id, device_id)
        if device is not None:
            self._residents.resync(device, channels)

    def send_unsubscribed(
        self, app_id: str, device_id: str, channels: list[str], reason: WireError
    ) -> None:
        """Notify a device that subscriptions have ended, now or by a resync when it resumes."""
        device = self._residents.find(app_id, device_id)
        if device is not None:
            data = {"channels": channels, "error": reason.name, "message": reason.message}
            self._residents.notify(device, "unsubscribed", data, channels)

    def withhold(self, subscription: Subscription) -> None:
        """Serve a subscription by its new route before the registry knows of that.

        From now on an event that only the former route matches is denied to the device.
        """
        device = self._residents.find(subscription.app_id, subscription.device_id)
        held = None if device is None else device.subscriptions.get(subscription.channel_id)
        if device is not None and held is not None and held.subscription != subscription:
            self._residents.replace(device, subscription)

    def send_denied(
        self, app_id: str, device_id: str, channel_id: str, objects: list[dict[str, Any]]
    ) -> None:
        """Remove objects from a channel of a device that may no longer see them.

        Each of `objects` has ``id type appId userId? version``. An object that the channel's new
        route has shown since the narrowing began is not removed, because it is permitted.
        """
        device = self._residents.find(app_id, device_id)
        held = None if device is None else device.subscriptions.get(channel_id)
        if device is None or held is None:
            return
        seq = device.floor = self._residents.log.advance()
        connection = device.connection
        if connection is None or not device.is_live:
            return  # It is told by a resync, should it resume.
        cursor = self._residents.log.cursors.write(seq)
        metadata = {"channels": [channel_id], "cursor": cursor}
        for item in objects:
            if self._audiences.has_shown(connection, held.subscription.route.key, item["id"]):
                continue
            model = identify(
                item["id"], item["type"], item["appId"], item.get("userId"), item.get("version")
            )
            event = "model_deleted"
            data = {"event": event, "model": model, "reason": "denied", "metadata": metadata}
            connection.send(event, data, cursor=cursor, channels=[channel_id])
