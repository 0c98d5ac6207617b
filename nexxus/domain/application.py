"""Applications: one tenant's document, validated and compiled.

`parse_application` turns an administrator's document into an `Application`. Its `document` is the
complete document that is stored, with its secrets; the other attributes are its compiled form.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nexxus.domain.access import Access, parse_roles
from nexxus.domain.decoding import convert
from nexxus.domain.misfits import check_keys, misfit
from nexxus.domain.objects import new_id
from nexxus.domain.push_rules import PushRule, compile_push_rules
from nexxus.domain.schema import Field, ModelType, compile_fields, compile_model
from nexxus.errors import (
    AccessDenied,
    InvalidAuthMethod,
    InvalidParameters,
    ModelNotFound,
    NotFound,
)
from nexxus.observability.redaction import is_secret_name

APPLICATION_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SECRET_BYTES: Final = 32
"""The shortest signing secret: as long as the digest of its tokens (RFC 7518, section 3.2)."""
_DEFAULT_LIMIT: Final = 10
_MAX_LIMIT: Final = 100
_LARGEST_LIMIT: Final = 10_000
_DETAIL_NAMES: Final = frozenset({"username", "password", "userType", "device"})


class SessionSettings(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The lifetimes of an application's tokens, in seconds."""

    jwt_expires_in: int = 3600
    refresh_token_expires_in: int = 2_592_000


class UserType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user type. A `private` one cannot be chosen at registration."""

    private: bool = False
    roles: tuple[str, ...] = ()
    description: str = ""


class AuthSettings(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How an application's users sign in, and which types of users it has."""

    strategies: dict[str, dict[str, Any]] = {}
    user_types: dict[str, UserType] = {}
    user_detail_schema: dict[str, Any] = {}
    acl: bool = False
    allow_multiple_login: bool = True

    def choose_user_type(self, name: Any) -> str:
        """Return the user type that a new user chose.

        Raises `InvalidParameters` for an unknown type, `AccessDenied` for a private one.
        """
        kind = self.user_types.get(name) if isinstance(name, str) else None
        if kind is None:
            raise misfit("userType", f"{name!r} is not one of the user types of the application")
        if kind.private:
            raise AccessDenied(f"userType: {name!r} can be assigned only by an administrator")
        return str(name)


class _Document(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The top level of an application document; deeper levels are compiled separately."""

    id: str = ""
    name: str = ""
    description: str = ""
    default_limit: int | msgspec.UnsetType = msgspec.UNSET
    max_limit: int | msgspec.UnsetType = msgspec.UNSET
    session: SessionSettings = SessionSettings()
    auth: AuthSettings | None = None
    roles: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    push: dict[str, Any] = {}
    signing_secret: str = ""


class Application:
    """One tenant, compiled: its models, its users' rules, its access control, its push rules."""

    def __init__(
        self,
        *,
        document: dict[str, Any],
        parsed: _Document,
        models: Mapping[str, ModelType],
        details: Mapping[str, Mapping[str, Field]],
        access: Access,
        push: Mapping[str, PushRule],
    ) -> None:
        self.document = document
        self.id = parsed.id
        self.name = parsed.name
        self.default_limit, self.max_limit = _limits(parsed)
        self.session = parsed.session
        self.auth = parsed.auth
        self.signing_secret = parsed.signing_secret
        self.models = models
        self.details = details
        self.access = access
        self.push = push

    def model(self, name: str) -> ModelType:
        """Return the model with this name. Raises `ModelNotFound`."""
        found = self.models.get(name)
        if found is None:
            raise ModelNotFound(f"the application {self.id} has no model {name!r}")
        return found

    def keeps_sessions_of(self, former: Application) -> bool:
        """Return whether sessions that began in the application's `former` version go on.

        They end if the signing secret was replaced, which may have been stolen, and if the
        application has got users or has none any more.
        """
        has_users, had_users = self.auth is not None, former.auth is not None
        return self.signing_secret == former.signing_secret and has_users == had_users

    def users(self) -> AuthSettings:
        """Return the settings for users. Raises `InvalidAuthMethod` if there are no users."""
        if self.auth is None:
            raise InvalidAuthMethod(f"the application {self.id} has no users")
        return self.auth

    def strategy(self, name: str) -> dict[str, Any]:
        """Return an entry of ``auth.strategies`` as it is written. Raises `NotFound`."""
        settings = None if self.auth is None else self.auth.strategies.get(name)
        if settings is None:
            raise NotFound(f"the application {self.id} has no sign-in strategy {name!r}")
        return settings

    def public_document(self) -> dict[str, Any]:
        """Return the document that administrators see, without its secrets."""
        return without_secrets(self.document)


def without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an application document without its secrets.

    These are the signing secret and strategies' settings with secret names, such as
    ``clientSecret`` (see `nexxus.observability.redaction`).
    """
    shown = {key: value for key, value in document.items() if key != "signingSecret"}
    strategies = (shown.get("auth") or {}).get("strategies")
    if strategies:
        shown["auth"] = {
            **shown["auth"],
            "strategies": {
                name: {k: v for k, v in settings.items() if not is_secret_name(k)}
                for name, settings in strategies.items()
            },
        }
    return shown


def merge_application(stored: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the stored document with its top-level keys replaced by those of `changes`.

    Secrets that `changes` leaves out are kept. Raises `InvalidParameters` for another ``id``.
    """
    if changes.get("id", stored["id"]) != stored["id"]:
        raise misfit("id", "an application's id cannot be changed")
    merged = {**stored, **changes}
    if changes.get("auth", {}) is None:
        del merged["auth"]
        return merged
    former = ((stored.get("auth") or {}).get("strategies")) or {}
    auth = merged.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("strategies"), dict):
        return merged
    strategies = {}
    for name, settings in auth["strategies"].items():
        kept = {k: v for k, v in former.get(name, {}).items() if is_secret_name(k)}
        strategies[name] = {**kept, **settings} if isinstance(settings, dict) else settings
    merged["auth"] = {**auth, "strategies": strategies}
    return merged


def parse_application(document: Any) -> Application:
    """Validate and compile an application document; generate a missing id and signing secret.

    Raises `InvalidParameters`, which names the key and the rule.
    """
    if not isinstance(document, dict):
        raise InvalidParameters("an application document must be an object")
    _check_keys(document)
    parsed = convert(document, _Document)
    complete = dict(document)
    if "id" not in document:
        complete["id"] = new_id()
    elif not APPLICATION_ID.fullmatch(parsed.id):
        raise misfit(
            "id", "expected 1 to 64 characters of a-z 0-9 _ -, beginning with a letter or a digit"
        )
    if not parsed.signing_secret:
        complete["signingSecret"] = secrets.token_urlsafe(_SECRET_BYTES)
    elif len(parsed.signing_secret.encode()) < _SECRET_BYTES:
        raise misfit(
            "signingSecret",
            f"expected at least {_SECRET_BYTES} bytes; without the key, one is made",
        )
    parsed = msgspec.structs.replace(
        parsed, id=complete["id"], signing_secret=complete["signingSecret"]
    )
    _check_limits(parsed)
    models = {name: compile_model(name, model) for name, model in parsed.schema.items()}
    roles = parse_roles(parsed.roles, models)
    details: Mapping[str, Mapping[str, Field]] = {}
    grants: dict[str, tuple[str, ...]] = {}
    if parsed.auth is not None:
        auth = msgspec.structs.replace(
            parsed.auth, user_types={"default": UserType(), **parsed.auth.user_types}
        )
        parsed = msgspec.structs.replace(parsed, auth=auth)
        _check_user_types(auth, roles)
        details = _compile_details(auth)
        grants = {name: kind.roles for name, kind in auth.user_types.items()}
    access = Access(
        enabled=parsed.auth is not None and parsed.auth.acl,
        roles=roles,
        grants=grants,
        models=models,
    )
    return Application(
        document=complete,
        parsed=parsed,
        models=models,
        details=details,
        access=access,
        push=compile_push_rules(parsed.push, models),
    )


def _check_keys(document: dict[str, Any]) -> None:
    """Reject unknown keys with a suggestion, which the conversion could not make."""
    auth = document.get("auth")
    user_types = auth.get("userTypes") if isinstance(auth, dict) else None
    shapes: list[tuple[str, Any, type[msgspec.Struct]]] = [
        ("", document, _Document),
        ("session", document.get("session"), SessionSettings),
        ("auth", auth, AuthSettings),
    ]
    if isinstance(user_types, dict):
        shapes += [(f"auth.userTypes.{name}", kind, UserType) for name, kind in user_types.items()]
    for where, part, shape in shapes:
        if isinstance(part, dict):
            check_keys(part, shape.__struct_encode_fields__, where)


def _limits(parsed: _Document) -> tuple[int, int]:
    """Return the default and the largest limit.

    If only one of the two is set, the other's default is adjusted so that they are consistent.
    """
    default, largest = parsed.default_limit, parsed.max_limit
    if isinstance(largest, msgspec.UnsetType):
        largest = _MAX_LIMIT if isinstance(default, msgspec.UnsetType) else max(_MAX_LIMIT, default)
    if isinstance(default, msgspec.UnsetType):
        default = min(_DEFAULT_LIMIT, largest)
    return default, largest


def _check_limits(parsed: _Document) -> None:
    default, largest = _limits(parsed)
    if not 1 <= largest <= _LARGEST_LIMIT:
        raise misfit("maxLimit", f"expected a number from 1 to {_LARGEST_LIMIT}")
    if not 1 <= default <= largest:
        raise misfit("defaultLimit", f"expected a number from 1 to maxLimit, which is {largest}")
    if parsed.session.jwt_expires_in < 1 or parsed.session.refresh_token_expires_in < 1:
        raise misfit("session", "expected lifetimes of at least one second")


def _check_user_types(auth: AuthSettings, roles: Mapping[str, Any]) -> None:
    for name, kind in auth.user_types.items():
        for role in kind.roles:
            if role not in roles:
                raise misfit(
                    f"auth.userTypes.{name}.roles",
                    f"{role!r} is not one of the application's roles",
                )


def _compile_details(auth: AuthSettings) -> dict[str, Mapping[str, Field]]:
    details = {}
    for user_type, document in auth.user_detail_schema.items():
        where = f"auth.userDetailSchema.{user_type}"
        if user_type not in auth.user_types:
            raise misfit(where, "auth.userTypes has no such user type")
        fields = compile_fields(document, where)
        taken = fields.keys() & _DETAIL_NAMES
        if taken:
            raise misfit(f"{where}.{min(taken)}", "the name is reserved")
        details[user_type] = fields
    return details
