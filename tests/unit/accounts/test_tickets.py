"""Tickets, which replace an access token once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clock import Clock

from nexxus.accounts.tickets import LIFETIME, Tickets
from nexxus.accounts.tokens import key_id
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.domain.application import parse_application
from nexxus.domain.identity import Identity
from nexxus.errors import (
    ApplicationNotFound,
    NoAuthPresent,
    UserAuthenticationFailed,
    UserTokenExpired,
)
from nexxus.interfaces.registry import Session
from nexxus.testing.journal import Journal

NOW = int(time.time())
SESSION = Session("s1", "shop", "d1", "u1", 1, "", NOW, NOW + 86_400, user_type="staff")
APPLICATIONS = {
    name: parse_application({"id": name, "signingSecret": name * 16, "schema": {}})
    for name in ("shop", "other")
}
IDENTITY = Identity(
    *("shop", "d1", "u1", "staff", "s1"),
    expires_at=NOW + 3600,
    key_id=key_id(APPLICATIONS["shop"]),
)


class Directory:
    """The applications, each with its own signing secret."""

    def get(self, app_id: str) -> Any:
        if app_id not in APPLICATIONS:
            raise ApplicationNotFound(app_id)
        return APPLICATIONS[app_id]


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[InProcessRegistry]:
    registry = InProcessRegistry(InProcessRegistrySettings(), data_dir=tmp_path, logger=Journal())
    await registry.open()
    await registry.sessions.put(SESSION)
    yield registry
    await registry.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def tickets(registry: InProcessRegistry, clock: Clock) -> Tickets:
    return Tickets(applications=Directory(), registry=registry, clock=clock)  # type: ignore[arg-type]


async def test_a_ticket_has_the_session_of_its_token(tickets: Tickets) -> None:
    assert await tickets.redeem(tickets.issue(IDENTITY)) == IDENTITY


@pytest.mark.contract("3. Sessions, users, devices", "a ticket stands once for an access token")
async def test_a_ticket_works_once_on_any_node(
    tickets: Tickets, registry: InProcessRegistry, clock: Clock
) -> None:
    other_node = Tickets(applications=Directory(), registry=registry, clock=clock)  # type: ignore[arg-type]
    ticket = tickets.issue(IDENTITY)
    await tickets.redeem(ticket)

    for node in (tickets, other_node):
        with pytest.raises(UserAuthenticationFailed, match="used before"):
            await node.redeem(ticket)
        with pytest.raises(UserAuthenticationFailed, match="used before"):
            await node.redeem(ticket, again=True)


async def test_a_ticket_expires_unused(tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.issue(IDENTITY)
    clock.advance(LIFETIME)

    with pytest.raises(UserAuthenticationFailed, match="30 s"):
        await tickets.redeem(ticket)
    with pytest.raises(UserAuthenticationFailed):
        await tickets.redeem(ticket, browser="b", again=True)
    with pytest.raises(UserAuthenticationFailed):
        await tickets.redeem(ticket, browser="b", again=True)


async def test_a_browser_may_reconnect_with_its_used_ticket(tickets: Tickets, clock: Clock) -> None:
    ticket = tickets.issue(IDENTITY)
    await tickets.redeem(ticket, browser="b")
    clock.advance(10 * LIFETIME)

    assert await tickets.redeem(ticket, browser="b", again=True) == IDENTITY
    with pytest.raises(UserAuthenticationFailed):
        await tickets.redeem(ticket, browser="another", again=True)
    with pytest.raises(UserAuthenticationFailed):
        await tickets.redeem(ticket, browser="b")


async def test_a_ticket_ends_with_the_access_token_and_with_the_session(
    tickets: Tickets, registry: InProcessRegistry, clock: Clock
) -> None:
    used, unused = tickets.issue(IDENTITY), tickets.issue(IDENTITY)
    await tickets.redeem(used, browser="b")

    clock.advance(3600)
    with pytest.raises(UserTokenExpired, match="refresh"):
        await tickets.redeem(used, browser="b", again=True)
    clock.advance(-3600)
    ending = msgspec.structs.replace(SESSION, generation=2, is_ending=True)
    await registry.sessions.rotate(ending, expected_generation=1)

    for ticket, again in ((used, True), (unused, False)):
        with pytest.raises(UserTokenExpired, match="ended"):
            await tickets.redeem(ticket, browser="b", again=again)


async def test_a_forged_ticket_is_refused(tickets: Tickets) -> None:
    ticket = tickets.issue(IDENTITY)
    body, _, mac = ticket.rpartition(".")
    forged = [
        "",
        "x",
        "é" * 8,
        f"{body}.{mac[:-1]}",
        f"{body[:-1]}.{mac}",
        ticket.replace("shop", "other"),
        ticket.replace("shop", "unknown"),
        ticket.replace(".s1.", ".s2."),
    ]

    for each in forged:
        with pytest.raises(UserAuthenticationFailed):
            await tickets.redeem(each)
    with pytest.raises(UserAuthenticationFailed, match="another application"):
        await tickets.redeem(ticket, app_id="other")
    assert await tickets.redeem(ticket, app_id="shop") == IDENTITY


def test_only_a_session_gets_a_ticket(tickets: Tickets) -> None:
    with pytest.raises(NoAuthPresent):
        tickets.issue(Identity("shop"))
