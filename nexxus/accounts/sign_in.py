"""Signing in: begins a session on a device, for a user whom a strategy has recognised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import msgspec

from nexxus.accounts.devices import Devices
from nexxus.accounts.sessions import Sessions, Tokens
from nexxus.accounts.user_records import User, UserRecords
from nexxus.domain.application import Application
from nexxus.domain.decoding import convert
from nexxus.errors import TooManyRequests, UserAuthenticationFailed
from nexxus.interfaces.registry import Device
from nexxus.observability.figures import counter


class NewSession(NamedTuple):
    """A session that has begun."""

    tokens: Tokens
    device: Device
    user: User


class DeviceHint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which device signs in; an id that is unknown or another user's is ignored."""

    id: str | None = None
    name: str | None = None


def read_hint(document: Any) -> DeviceHint | None:
    """Return the hint in a body's key ``device``; raise `InvalidParameters` if it is none."""
    return convert(document, DeviceHint | None, "device")  # type: ignore[arg-type]


class SignInFigures(msgspec.Struct):
    """The figures of signing in."""

    succeeded: Annotated[int, counter("Sign-ins and registrations that began a session.")] = 0
    failed: Annotated[
        int,
        counter("Sign-ins that were refused: credentials were wrong, or a provider said no."),
    ] = 0
    limited: Annotated[
        int, counter("Sign-ins that were refused because too many had failed for the account.")
    ] = 0


class SignIn:
    """Begins sessions of users."""

    def __init__(self, *, records: UserRecords, sessions: Sessions, devices: Devices) -> None:
        self.figures = SignInFigures()
        self._records = records
        self._sessions = sessions
        self._devices = devices

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count an attempt to sign in that is refused while the block runs."""
        try:
            yield
        except TooManyRequests:
            self.figures.limited += 1
            raise
        except UserAuthenticationFailed:
            self.figures.failed += 1
            raise

    async def begin(
        self, application: Application, user: User, hint: DeviceHint | None
    ) -> NewSession:
        """Begin a session on the device of the `hint`, or on a new one.

        Raises `UserAuthenticationFailed` if `user`, as given, is no longer as stored.
        """
        hint = hint or DeviceHint()
        device = await self._devices.for_sign_in(application, user.id, hint.id, hint.name)
        is_known = device.id == hint.id
        tokens = await self._sessions.begin(application, device, user, is_known_device=is_known)
        session = await self._confirm(application, NewSession(tokens, device, user))
        self.figures.succeeded += 1
        return session

    async def add_device(self, application: Application, user: User, name: Any) -> NewSession:
        """Register one more device of a user, with a session of its own."""
        device = await self._devices.register(application, name, user.id)
        tokens = await self._sessions.begin(application, device, user, is_login=False)
        return await self._confirm(application, NewSession(tokens, device, user))

    async def _confirm(self, application: Application, signed_in: NewSession) -> NewSession:
        """End the session again if the user was changed in a way that would have ended it.

        A change, such as disabling the user, is stored first and ends the user's sessions then. A
        session that begins meanwhile is either found there, or finds the change here.
        """
        user = signed_in.user
        latest = await self._records.get(application.id, user.id)
        if latest is None or _standing(latest) != _standing(user):
            await self._sessions.log_out(application, signed_in.tokens.refresh_token)
            raise UserAuthenticationFailed("the account was changed just now; sign in again")
        return signed_in


def _standing(user: User) -> tuple[bool, str, str | None]:
    """What a session depends on."""
    return user.disabled, user.user_type, user.password_hash
