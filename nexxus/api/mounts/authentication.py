"""Authentication at mounts: by an access token, or by a ticket if no header can be set."""

from __future__ import annotations

from typing import Protocol

from nexxus.accounts.sessions import Sessions
from nexxus.accounts.tickets import Tickets
from nexxus.applications.applications import Applications
from nexxus.domain.identity import Identity


class MountAuthentication(Protocol):
    """Identifies the sender of a request. Raises the `WireError` that refuses it."""

    def require_application(self, app_id: str) -> None:
        """Raise `ApplicationNotFound` if there is no such application."""

    async def by_token(self, app_id: str, token: str) -> Identity:
        """Return the identity in an access token of this application."""

    async def by_ticket(
        self, ticket: str, *, app_id: str | None, browser: str, again: bool
    ) -> Identity:
        """Return the identity in a ticket, and use the ticket up; see `Tickets.redeem`."""


class SessionAuthentication:
    """Authentication by the registry's sessions."""

    def __init__(self, *, applications: Applications, sessions: Sessions, tickets: Tickets) -> None:
        self._applications = applications
        self._sessions = sessions
        self._tickets = tickets

    def require_application(self, app_id: str) -> None:
        """See `MountAuthentication.require_application`."""
        self._applications.get(app_id)

    async def by_token(self, app_id: str, token: str) -> Identity:
        """See `MountAuthentication.by_token`."""
        return await self._sessions.verify(app_id, token)

    async def by_ticket(
        self, ticket: str, *, app_id: str | None, browser: str, again: bool
    ) -> Identity:
        """See `MountAuthentication.by_ticket`."""
        return await self._tickets.redeem(ticket, app_id=app_id, browser=browser, again=again)
