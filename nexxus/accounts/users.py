"""Users: registering, changing oneself, and administration."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nexxus.accounts.passwords import PASSWORD_PROVIDER, Passwords, check_password
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.sign_in import NewSession, SignIn, read_hint
from nexxus.accounts.user_records import User, UserRecords
from nexxus.accounts.usernames import check_username
from nexxus.domain.application import Application
from nexxus.domain.identity import Identity
from nexxus.domain.objects import BUILT_IN
from nexxus.domain.patches import apply, parse_patches
from nexxus.domain.schema import Field, Kind, ModelType, build_model
from nexxus.domain.values import coerce_fields
from nexxus.errors import (
    InvalidAuthMethod,
    InvalidParameters,
    NoAuthPresent,
    NotFound,
    UserTokenExpired,
)
from nexxus.interfaces.registry import DeviceStore

_PROTECTED: Final = (
    *("userType", "authProviders", "devices", "createdAt", "updatedAt", "id", "appId"),
)


class Me(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The calling user, as in the access token."""

    id: str
    username: str | None
    user_type: str | None
    auth_providers: list[str] | None
    details: dict[str, Any] | None
    app_id: str


class Users:
    """What users, and the administrators of users, may do."""

    def __init__(
        self,
        *,
        records: UserRecords,
        sessions: Sessions,
        sign_in: SignIn,
        devices: DeviceStore,
        passwords: Passwords,
    ) -> None:
        self._records = records
        self._sessions = sessions
        self._sign_in = sign_in
        self._devices = devices
        self._passwords = passwords

    async def register(self, application: Application, body: dict[str, Any]) -> NewSession:
        """Register with a user name and a password, and sign in.

        Keys besides ``username``, ``password``, ``userType`` and ``device`` are the user's
        details. Raises `InvalidAuthMethod` where the application has no passwords.
        """
        auth = application.users()
        if PASSWORD_PROVIDER not in auth.strategies:
            raise InvalidAuthMethod(
                f"the application {application.id} does not sign in with passwords"
            )
        fields = dict(body)
        username = check_username(fields.pop("username", None))
        password = check_password(fields.pop("password", None))
        user_type = auth.choose_user_type(fields.pop("userType", "default"))
        hint = read_hint(fields.pop("device", None))
        user = await self._records.create(
            application.id,
            username=username,
            user_type=user_type,
            provider=PASSWORD_PROVIDER,
            details=coerce_fields(fields, application.details.get(user_type, {}), ""),
            password_hash=await self._passwords.hash(password),
        )
        return await self._sign_in.begin(application, user, hint)

    async def add_device(
        self, application: Application, identity: Identity, name: Any
    ) -> NewSession:
        """Register one more device of the calling user, with a session of its own."""
        return await self._sign_in.add_device(
            application, await self._calling(application, identity), name
        )

    def me(self, application: Application, identity: Identity) -> Me:
        """Return the user's claims, as the token has them."""
        application.users()
        claims = identity.claims
        return Me(
            id=identity.user(),
            username=claims.get("username"),
            user_type=claims.get("userType"),
            auth_providers=claims.get("authProviders"),
            details=claims.get("details"),
            app_id=identity.app_id,
        )

    async def change(self, application: Application, identity: Identity, patch: Any) -> None:
        """Patch the calling user; a new password ends the user's other sessions."""
        application.users()
        user = await self._calling(application, identity)
        # The session may have ended since the token was verified, and the account be another's.
        await self._sessions.require_live(identity)
        model = _patchable_model(application, user)
        patches = parse_patches(_without_protected(patch), model)
        now = user.updated_at
        changed, _ = apply(patches, _to_patchable(user), model, now=now)
        password = changed.get("password")
        username = check_username(changed.get("username"))
        details = changed.get("details") or {}
        if details != user.details:
            details = coerce_fields(details, application.details.get(user.user_type, {}), "details")
        password_hash = None
        if password is not None:
            password_hash = await self._passwords.hash(check_password(password))
        subjects = user.subjects
        user = await self._records.rename(user, username)

        def apply_to_latest(latest: User) -> User:
            if latest.subjects != subjects:
                raise UserTokenExpired("the account was linked to a provider; sign in again")
            again, _ = apply(patches, _to_patchable(latest), model, now=now)
            latest = msgspec.structs.replace(latest, details=again.get("details") or {})
            return latest if password_hash is None else _with_password(latest, password_hash)

        if details != user.details or password_hash is not None:
            await self._records.change(user, apply_to_latest)
        if password_hash is not None:
            await self._sessions.end_all_of(application.id, user.id, but=identity.session_id)

    # Administration

    async def list(
        self, application: Application, *, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        """Return the application's users, the oldest first."""
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
        """Change a user's type or disable the user; either ends the user's sessions.

        It may be repeated: which sessions are to end follows from what is stored.
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
        """Remove a user with the user's sessions and devices. Their objects stay.

        The user goes last, disabled until then: nobody signs in meanwhile, and a repetition
        finds what is left.
        """
        user = await self._records.change(await self._get(application, user_id), _disable)
        await self._sessions.end_all_of(application.id, user.id)
        devices = await self._devices.of_user(application.id, user.id)
        await self._devices.delete(application.id, [device.id for device in devices])
        await self._records.delete(user)

    async def _calling(self, application: Application, identity: Identity) -> User:
        user = await self._records.get(application.id, identity.user())
        if user is None:
            raise NoAuthPresent("the user of this token does not exist any more")
        return user

    async def _get(self, application: Application, user_id: str) -> User:
        application.users()
        user = await self._records.get(application.id, user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id!r}")
        return user


def _disable(user: User) -> User:
    return msgspec.structs.replace(user, disabled=True)


def _with_password(user: User, password_hash: str) -> User:
    providers = user.auth_providers
    if PASSWORD_PROVIDER not in providers:
        providers = [*providers, PASSWORD_PROVIDER]
    return msgspec.structs.replace(user, password_hash=password_hash, auth_providers=providers)


def _patchable_model(application: Application, user: User) -> ModelType:
    """Return what a user may patch, as a model: the name, the password, the details."""
    details = dict(application.details.get(user.user_type, {}))
    return build_model(
        "user",
        {
            "username": Field(Kind.STRING, required=True),
            "password": Field(Kind.STRING, required=True),
            "details": Field(Kind.OBJECT, properties=details),
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
    """Return `patch`; raise `InvalidParameters` if it names a path that only the server changes."""
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
