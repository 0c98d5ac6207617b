"""Applications and users that several of these modules need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from client import Admin, NexxusClient, unique
from documents import guarded_application, open_application, signed_application
from server import Server

UserMaker: TypeAlias = Callable[..., Awaitable[NexxusClient]]


@pytest.fixture
def user_of_type(new_client: Any, admin: Admin) -> UserMaker:
    """Creates users of any type of an application, including private ones, and signs them in."""

    async def make(app: Any, kind: str) -> NexxusClient:
        name = unique(kind)
        client: NexxusClient = await new_client(app).register_user(name)
        admin.set_user(app["id"], client.user_id or "", userType=kind)
        await client.sign_in(name)
        return client

    return make


@pytest.fixture(scope="module")
def guarded(admin: Admin) -> Any:
    """An application whose members see published objects and their own."""
    return admin.create(guarded_application())


@pytest.fixture
async def member(guarded: Any, new_client: Any) -> NexxusClient:
    """A user of the default type."""
    client: NexxusClient = await new_client(guarded).register_user(unique("member"))
    return client


@pytest.fixture
async def staff(guarded: Any, user_of_type: UserMaker) -> NexxusClient:
    """A user who may do nearly everything."""
    return await user_of_type(guarded, "staff")


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    """An application without users."""
    return admin.create(open_application())


@pytest.fixture(scope="module")
def signed(admin: Admin) -> Any:
    """An application whose users sign in with a password."""
    return admin.create(signed_application())


@pytest.fixture
async def client(app: Any, new_client: Any) -> NexxusClient:
    """A device with a session and no connection."""
    client: NexxusClient = await new_client(app).register_device()
    return client


@pytest.fixture
async def user(signed: Any, new_client: Any) -> NexxusClient:
    """A user of `signed`, signed in."""
    client: NexxusClient = new_client(signed)
    client.username = unique("user")
    return await client.register_user(client.username)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers with settings of their own; they are closed in the end."""
    servers: list[Server] = []

    def make(*arguments: str, **environment: str) -> Server:
        servers.append(Server(tmp_path / f"server{len(servers)}", *arguments, **environment))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
