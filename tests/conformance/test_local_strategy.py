"""Signing in with a password keeps what every strategy of credentials promises."""

from collections.abc import Mapping, Sequence
from typing import Any

from nexxus.adapters.local.auth_strategy import LocalStrategy
from nexxus.testing.auth_strategy_kit import OWN_USER, CredentialsStrategyConformance


class TestLocalStrategy(CredentialsStrategyConformance):
    def create(self) -> LocalStrategy:
        return LocalStrategy()

    def settings(self) -> Mapping[str, Any]:
        return {}

    def right(self) -> Mapping[str, Any]:
        username, password = OWN_USER
        return {"username": username, "password": password}

    def wrong(self) -> Sequence[Mapping[str, Any]]:
        username, password = OWN_USER
        return [
            {"username": username, "password": "wrong-horse"},
            {"username": "nobody-known", "password": password},
        ]
