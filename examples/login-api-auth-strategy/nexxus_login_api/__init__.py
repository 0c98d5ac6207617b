"""What this plugin offers to Nexxus. Imported at every start, so it imports little itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nexxus.hookspecs import Adapter, AdapterContext, hookimpl

if TYPE_CHECKING:
    from nexxus.interfaces.auth_strategy import AuthStrategy


def create(settings: None, context: AdapterContext) -> AuthStrategy[Any]:
    # Imported here, so that what it needs is imported only at a start, and not by every command.
    from nexxus_login_api.auth_strategy import LoginApiStrategy

    return LoginApiStrategy(context.logger)  # the settings come with each sign-in


@hookimpl
def nexxus_auth_strategies() -> list[Adapter[Any, AuthStrategy[Any]]]:
    return [
        Adapter(
            "login-api",
            None,
            create,
            interface=1,
            summary="the users of a system with an API of its own",
        )
    ]
