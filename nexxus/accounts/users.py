"""Users: registering, signing in with a password, changing, and their administration."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from nexxus.accounts.devices import Devices
from nexxus.accounts.passwords import MAX_LENGTH, Passwords
from nexxus.accounts.sessions import Sessions, Tokens
from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.accounts.user_records import User, UserRecords
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.domain.objects import BUILT_IN
from nexxus.domain.patches import apply, parse_patches
from nexxus.domain.schema import Field, Kind, ModelType, build_model
from nexxus.domain.values import coerce, coerce_fields
from nexxus.errors import (
    AccessDenied,
    InvalidAuthMethod,
    InvalidParameters,
    NoAuthPresent,
    NotFound,
    UserAuthenticationFailed,
)
from nexxus.interfaces.registry import Device, Registry

LOCAL = "local"
MAX_USERNAME = 256
_PROTECTED = ("userType", "authProviders", "devices", "createdAt", "updatedAt", "id", "appId")


class SignedIn(NamedTuple):
    """A session as a sign-in answers it."""

    tokens: Tokens
    device: Device
    user: User

    def to_wire(self) -> dict[str, Any]:
        """The answer's body."""
        return {
            "token": self.tokens.token,
            "refreshToken": self.tokens.refresh_token,
            "device": {"id": self.device.id, "name": self.device.name},
            "user": {"id": self.user.id, "username": self.user.username},
        }


class DeviceHint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which device signs in; a stale or foreign id is ignored."""

    id: str | None = None
    name: str | None = None


class Users:
    """What users, and administrators of users, may do.

    `sign_in_attempts` failed ones per account and minute are let through.
    """

    def __init__(
        self,
        *,
        records: UserRecords,
        sessions: Sessions,
        devices: Devices,
        registry: Registry,
        passwords: Passwords,
        sign_in_attempts: int,
    ) -> None:
        self._records = records
        self._sessions = sessions
        self._devices = devices
        self._registry = registry
        self._passwords = passwords
        self._attempts = SignInAttempts(registry.counters, sign_in_attempts)

    async def register(self, application: Application, body: dict[str, Any]) -> SignedIn:
        """Register with a user name and a password, and sign in.

        Keys besides ``username``, ``password`` and ``userType`` are the user's details.
        """
        self._require_local(application)
        fields = dict(body)
        username = _check_username(fields.pop("username", None))
        password = _check_password(fields.pop("password", None))
        user_type = self.choose_user_type(application, fields.pop("userType", "default"))
        hint = _to_hint(fields.pop("device", None))
        details = coerce_fields(fields, application.details.get(user_type, {}), "")
        user = await self._records.create(
            application.id,
            username=username,
            user_type=user_type,
            provider=LOCAL,
            details=details,
            password_hash=await self._passwords.hash(password),
        )
        return await self._begin(application, user, hint)

    async def sign_in(
        self, application: Application, username: str, password: str, hint: DeviceHint | None
    ) -> SignedIn:
        """Sign in with a password; a disabled account fails like a wrong password."""
        application.strategy(LOCAL)
        async with self._attempts.one(application.id, username):
            user = await self._verified(application, username, password)
        return await self._begin(application, user, hint)

    async def _verified(self, application: Application, username: str, password: str) -> User:
        user = await self._records.find(application.id, username)
        usable = user is not None and not user.disabled and len(password) <= MAX_LENGTH
        known_hash = user.password_hash if user is not None and usable else None
        if not await self._passwords.verify(known_hash, password[:MAX_LENGTH]) or user is None:
            raise UserAuthenticationFailed("the user name or the password is wrong")
        return user

    async def sign_in_with_provider(
        self,
        application: Application,
        *,
        provider: str,
        email: str,
        user_type: str | None,
        details: dict[str, Any],
        hint: DeviceHint | None,
    ) -> SignedIn:
        """Sign in whom a provider vouches for: the account named by the verified email.

        It is linked when there is one and made when there is none.
        """
        user = await self._records.find(application.id, email)
        if user is None:
            chosen = self.choose_user_type(application, user_type or "default")
            declared = application.details.get(chosen, {})
            user = await self._records.create(
                application.id,
                username=email,
                user_type=chosen,
                provider=provider,
                details=_fitting(details, declared),
                password_hash=None,
            )
        if user.disabled:
            raise UserAuthenticationFailed("the user name or the password is wrong")
        if provider not in user.auth_providers:
            user = await self._records.change(user, lambda latest: _link(latest, provider))
        return await self._begin(application, user, hint)

    async def add_device(self, application: Application, identity: Identity, name: Any) -> SignedIn:
        """One more device of the calling user, with a session of its own."""
        user = await self._records.get(application.id, identity.user())
        if user is None:
            raise NoAuthPresent("the user of this token does not exist any more")
        device = await self._devices.register(application, name, user.id)
        return await self._begin_on(application, user, device, is_login=False)

    def me(self, application: Application, identity: Identity) -> dict[str, Any]:
        """The user's claims, as the token has them."""
        application.users()
        user_id = identity.user()
        named = ("username", "userType", "authProviders", "details", "appId")
        return {"id": user_id, **{name: identity.claims.get(name) for name in named}}

    async def change(self, application: Application, identity: Identity, patch: Any) -> None:
        """Patch the calling user; a new password ends the user's other sessions."""
        application.users()
        user = await self._records.get(application.id, identity.user())
        if user is None:
            raise NoAuthPresent("the user of this token does not exist any more")
        model = _patchable_model(application, user)
        patches = parse_patches(_without_protected(patch), model)
        now = user.updated_at
        changed, _ = apply(patches, _to_patchable(user), model, now=now)
        password = changed.get("password")
        username = _check_username(changed.get("username"))
        details = changed.get("details") or {}
        if details != user.details:
            details = coerce_fields(details, _details(application, user), "details")
        password_hash = None
        if password is not None:
            password_hash = await self._passwords.hash(_check_password(password))
        user = await self._records.rename(user, username)

        def apply_to_latest(latest: User) -> User:
            again, _ = apply(patches, _to_patchable(latest), model, now=now)
            latest = msgspec.structs.replace(latest, details=again.get("details") or {})
            if password_hash is None:
                return latest
            linked = _link(latest, LOCAL)
            return msgspec.structs.replace(linked, password_hash=password_hash)

        if details != user.details or password_hash is not None:
            await self._records.change(user, apply_to_latest)
        if password_hash is not None:
            await self._sessions.end_all_of(application.id, user.id, but=identity.session_id)

    # Administration

    async def list(
        self, application: Application, *, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        """The application's users, oldest first."""
        users = await self._records.list(application.id, limit=limit, offset=offset)
        return [user.public() for user in users]

    async def administer(
        self,
        application: Application,
        user_id: str,
        *,
        user_type: str | None,
        disabled: bool | None,
    ) -> dict[str, Any]:
        """Change a user's type or disable it; either ends the user's sessions.

        It may be repeated: the sessions that are to end follow from what is stored.
        """
        user = await self._get(application, user_id)
        if user_type is not None and user_type not in application.users().user_types:
            raise InvalidParameters(
                f"userType: {user_type!r} is not one of the application's", {"field": "userType"}
            )

        def apply_to_latest(latest: User) -> User:
            return msgspec.structs.replace(
                latest,
                user_type=latest.user_type if user_type is None else user_type,
                disabled=latest.disabled if disabled is None else disabled,
            )

        changed = await self._records.change(user, apply_to_latest)
        await self._sessions.end_unfit(changed)
        return changed.public()

    async def delete(self, application: Application, user_id: str) -> None:
        """Remove a user, the user's sessions and devices. Their objects stay.

        The user goes last, disabled until then: nobody signs in meanwhile, and a repetition
        finds what is left.
        """
        user = await self._records.change(await self._get(application, user_id), _disable)
        await self._sessions.end_all_of(application.id, user.id)
        devices = await self._registry.devices.of_user(application.id, user.id)
        await self._registry.devices.delete(application.id, [device.id for device in devices])
        await self._records.delete(user)

    async def _get(self, application: Application, user_id: str) -> User:
        application.users()
        user = await self._records.get(application.id, user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id!r}")
        return user

    async def _begin(
        self, application: Application, user: User, hint: DeviceHint | None
    ) -> SignedIn:
        hint = hint or DeviceHint()
        device = await self._devices.for_sign_in(application, user.id, hint.id, hint.name)
        is_known = device.id == hint.id
        return await self._begin_on(application, user, device, is_known_device=is_known)

    async def _begin_on(
        self,
        application: Application,
        user: User,
        device: Device,
        *,
        is_login: bool = True,
        is_known_device: bool = False,
    ) -> SignedIn:
        """Begin a session, unless the user was changed in a way that would have ended it.

        Whoever disables a user stores that and then ends the sessions; a session that begins
        meanwhile is seen there, or sees the change here.
        """
        tokens = await self._sessions.begin(
            application, device, user, is_login=is_login, is_known_device=is_known_device
        )
        latest = await self._records.get(application.id, user.id)
        if latest is None or _standing(latest) != _standing(user):
            await self._sessions.log_out(application, tokens.refresh_token)
            raise UserAuthenticationFailed("the account was changed just now; sign in again")
        return SignedIn(tokens, device, user)

    def _require_local(self, application: Application) -> None:
        if LOCAL not in application.users().strategies:
            raise InvalidAuthMethod(
                f"the application {application.id} does not sign in with passwords"
            )

    def choose_user_type(self, application: Application, user_type: Any) -> str:
        """The type that a new user chose; `AccessDenied` for one that only administrators give."""
        kind = None
        if isinstance(user_type, str):
            kind = application.users().user_types.get(user_type)
        if kind is None:
            raise InvalidParameters(
                f"userType: {user_type!r} is not one of the application's", {"field": "userType"}
            )
        if kind.private:
            raise AccessDenied(f"userType: {user_type!r} is given by an administrator only")
        return str(user_type)


def _standing(user: User) -> tuple[bool, str, str | None]:
    """What a session depends on."""
    return user.disabled, user.user_type, user.password_hash


def _disable(user: User) -> User:
    return msgspec.structs.replace(user, disabled=True)


def _link(user: User, provider: str) -> User:
    if provider in user.auth_providers:
        return user
    return msgspec.structs.replace(user, auth_providers=[*user.auth_providers, provider])


def _to_hint(document: Any) -> DeviceHint | None:
    try:
        return msgspec.convert(document, DeviceHint | None)
    except msgspec.ValidationError as error:
        raise InvalidParameters(f"device: {error}", {"field": "device"}) from None


def _check_username(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_USERNAME:
        return value
    raise InvalidParameters(
        f"username: expected a string of 1 to {MAX_USERNAME} characters", {"field": "username"}
    )


def _check_password(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_LENGTH:
        return value
    raise InvalidParameters(
        f"password: expected a string of 1 to {MAX_LENGTH} characters", {"field": "password"}
    )


def _fitting(details: dict[str, Any], declared: Mapping[str, Field]) -> dict[str, Any]:
    """Those details of a provider that the application has a place for."""
    fitting = {}
    for name in details.keys() & declared.keys():
        with suppress(InvalidParameters):
            fitting[name] = coerce(details[name], declared[name], name)
    return fitting


def _details(application: Application, user: User) -> Any:
    return application.details.get(user.user_type, {})


def _patchable_model(application: Application, user: User) -> ModelType:
    """What a user may patch, as a model: the name, the password, the details."""
    return build_model(
        "user",
        {
            "username": Field(Kind.STRING, required=True),
            "password": Field(Kind.STRING, required=True),
            "details": Field(Kind.OBJECT, properties=_details(application, user)),
        },
    )


def _to_patchable(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "details": user.details,
        "updatedAt": user.updated_at,
        "version": 0,
    }


def _without_protected(patch: Any) -> Any:
    """`patch`, or `InvalidParameters` when it names a path that only the server changes."""
    for entry in patch if isinstance(patch, list) else [patch]:
        paths = entry.get("path") if isinstance(entry, dict) else None
        for path in paths if isinstance(paths, list) else [paths]:
            if not isinstance(path, str):
                continue
            root = path.partition(".")[0]
            if root == "password" and entry.get("op") != "replace":
                raise InvalidParameters(
                    "password: it can only be replaced", {"field": "password", "rule": "replace"}
                )
            if root in _PROTECTED or root in BUILT_IN or path.startswith("details.$"):
                raise InvalidParameters(f"{path} cannot be patched", {"field": path})
    return patch
