"""Signing in at a provider: the way there, the way back, and what ties them together.

The *state* that travels through the provider is a token of ours: it names the application, is
signed, expires after `STATE_LIFETIME` seconds and is good for one way back. The secrets of the
challenge (nonce, PKCE verifier) are derived from its id, so that nothing is stored until the
state is used up, and any node can finish what another one began.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from nexxus.accounts.users import LOCAL, DeviceHint, SignedIn, Users
from nexxus.applications.applications import Applications
from nexxus.domain.application import Application
from nexxus.domain.objects import new_id
from nexxus.errors import InvalidParameters, NotFound, UserAuthenticationFailed
from nexxus.interfaces.auth_strategy import AuthStrategy, Challenge
from nexxus.interfaces.registry import Registry

STATE_LIFETIME: Final = 600
GENERIC: Final = "openid"
"""The strategy for a provider that has none of its own, known by its ``issuer``."""


class _State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the state carries."""

    jti: str
    exp: int
    app: str
    strategy: str
    callback: str
    user_type: str | None = None
    device_id: str | None = None
    device_name: str | None = None


class ExternalSignIn:
    """Sends users to a provider and receives them back. `strategies` are by name."""

    def __init__(
        self,
        *,
        applications: Applications,
        users: Users,
        registry: Registry,
        strategies: Mapping[str, AuthStrategy],
    ) -> None:
        self._applications = applications
        self._users = users
        self._registry = registry
        self._strategies = strategies

    async def begin(
        self,
        application: Application,
        name: str,
        *,
        user_type: str | None,
        hint: DeviceHint | None,
        default_callback_url: str,
    ) -> str:
        """The URL of the provider to which the user is to be sent.

        `default_callback_url` is used where the strategy's settings have no ``callbackURL``.
        Raises `NotFound` for a strategy that the application has not.
        """
        import jwt  # with cryptography behind it: not at every start

        settings = application.strategy(name)
        strategy = self._strategy(name, settings)
        if user_type is not None:
            self._users.choose_user_type(application, user_type)
        hint = hint or DeviceHint()
        state = _State(
            jti=new_id(),
            exp=int(time.time()) + STATE_LIFETIME,
            app=application.id,
            strategy=name,
            callback=str(settings.get("callbackURL") or default_callback_url),
            user_type=user_type,
            device_id=hint.id,
            device_name=hint.name,
        )
        signed = jwt.encode(msgspec.to_builtins(state), _key(application), algorithm="HS256")
        return await strategy.begin(
            settings, challenge=_challenge(application, signed, state), callback_url=state.callback
        )

    async def complete(self, name: str, parameters: Mapping[str, str]) -> SignedIn:
        """The session of whom the provider vouches for, by the query of its redirect.

        Raises `UserAuthenticationFailed` for a state that is not ours, too old, or used.
        """
        signed = parameters.get("state")
        if not signed:
            raise InvalidParameters("state: is missing; begin the sign-in anew", {"field": "state"})
        application, state = self._read(signed)
        if state.strategy != name:
            raise UserAuthenticationFailed("this sign-in was begun with another provider")
        settings = application.strategy(name)
        strategy = self._strategy(name, settings)
        used = await self._registry.claims.claim(
            application.id, "sign-in-state", state.jti, b"used", STATE_LIFETIME + 60
        )
        if used is not None:
            raise UserAuthenticationFailed("this sign-in was finished before; begin it anew")
        account = await strategy.complete(
            settings,
            challenge=_challenge(application, signed, state),
            callback_url=state.callback,
            parameters=parameters,
        )
        hint = DeviceHint(state.device_id, state.device_name)
        return await self._users.sign_in_with_provider(
            application,
            provider=name,
            email=account.email,
            user_type=state.user_type,
            details=account.details,
            hint=hint,
        )

    def _strategy(self, name: str, settings: Mapping[str, Any]) -> AuthStrategy:
        strategy = None if name == LOCAL else self._strategies.get(name)
        if strategy is None and settings.get("issuer"):
            strategy = self._strategies.get(GENERIC)
        if strategy is None:
            raise NotFound(f"the sign-in strategy {name!r} does not lead to a provider")
        return strategy

    def _read(self, signed: str) -> tuple[Application, _State]:
        import jwt  # with cryptography behind it: not at every start

        bad = UserAuthenticationFailed("the state is not genuine or too old; sign in anew")
        try:
            app_id = jwt.decode(signed, options={"verify_signature": False}).get("app")
            if not isinstance(app_id, str):
                raise bad
            application = self._applications.get(app_id)
            claims = jwt.decode(signed, _key(application), algorithms=["HS256"])
            return application, msgspec.convert(claims, _State)
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError):
            raise bad from None


def _challenge(application: Application, signed: str, state: _State) -> Challenge:
    return Challenge(
        state=signed,
        nonce=_derive(application, f"nonce|{state.jti}"),
        verifier=_derive(application, f"verifier|{state.jti}"),
    )


def _derive(application: Application, purpose: str) -> str:
    digest = hmac.digest(_key(application), purpose.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _key(application: Application) -> bytes:
    """A key of its own, so that a state is never taken for an access token."""
    return hmac.digest(application.signing_secret.encode(), b"external-sign-in", "sha256")
