"""A running process detects a changed configuration and logs what a restart would change."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from nexxus.config import Config
from nexxus.errors import StartupError
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.interfaces.config_provider import ConfigProvider
from nexxus.interfaces.logger import Level
from nexxus.process.configuration_watch import ConfigurationWatch
from nexxus.testing.context import adapter_context
from nexxus.testing.journal import Journal


class Vault(ConfigProvider):
    """A provider with `values` that reports changes when the test asks for it."""

    def __init__(self) -> None:
        self.values = {"key": "one"}
        self.port = 1
        self.changes: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.watched: list[str] = []
        self.closed = 0

    async def load(self) -> Mapping[str, Any]:
        return {"api": {"port": self.port}}

    async def resolve(self, reference: str) -> str:
        return self.values[reference]

    async def watch(self, references: Collection[str]) -> AsyncGenerator[None]:
        self.watched = list(references)
        while (error := await self.changes.get()) is None:
            yield
        raise error

    async def close(self) -> None:
        self.closed += 1


class Plugin:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @hookimpl
    def nexxus_config_providers(self) -> list[Adapter[Any, ConfigProvider]]:
        return [Adapter("vault", None, lambda *_: self._vault, interface=1)]


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def journal() -> Journal:
    return Journal(Level.INFO)


@pytest.fixture
def load(vault: Vault) -> Callable[[], Config]:
    document = {"server": {"config_providers": ["vault"]}, "admin": {"key": "${vault:key}"}}
    return lambda: Config.from_mapping(document, plugins=[Plugin(vault)])


@asynccontextmanager
async def watching(
    load: Callable[[], Config], journal: Journal, folder: Path
) -> AsyncIterator[None]:
    watch = ConfigurationWatch(load(), load, adapter_context(folder, logger=journal))
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_reported_by_a_provider_is_logged_by_key_without_values(
    vault: Vault, load: Callable[[], Config], journal: Journal, tmp_path: Path
):
    async with watching(load, journal, tmp_path):
        vault.values["key"] = "two"
        vault.port = 2
        vault.changes.put_nowait(None)
        (record,) = await eventually(lambda: journal.records)
        assert (record.level, record.fields["keys"]) == (Level.WARNING, ["api.port", "admin.key"])
        assert "restart this node" in record.message
        assert vault.watched == ["key"]


async def test_sighup_reloads_the_configuration(
    load: Callable[[], Config], journal: Journal, tmp_path: Path
):
    async with watching(load, journal, tmp_path):
        await eventually(lambda: signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: journal.messages)
        assert journal.messages == ["the configuration was reloaded; nothing has changed"]


async def test_an_invalid_new_configuration_is_logged_with_the_reason(
    vault: Vault, load: Callable[[], Config], journal: Journal, tmp_path: Path
):
    async with watching(load, journal, tmp_path):
        vault.port = 70_000
        vault.changes.put_nowait(None)
        (record,) = await eventually(lambda: journal.records)
        assert record.level is Level.ERROR
        assert "api.port: Expected `int` <= 65535" in record.fields["reason"]
        vault.port = 1
        vault.changes.put_nowait(None)
        await eventually(lambda: "nothing has changed" in journal.messages[-1])


async def test_a_failing_provider_is_named_and_the_others_continue(
    vault: Vault, load: Callable[[], Config], journal: Journal, tmp_path: Path
):
    async with watching(load, journal, tmp_path):
        vault.changes.put_nowait(StartupError("https://vault:8200 does not answer"))
        (record,) = await eventually(lambda: journal.records)
        assert record.fields["provider"] == "vault"
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: "nothing has changed" in journal.messages[-1])


async def test_a_watched_provider_is_closed_at_the_end(
    vault: Vault, load: Callable[[], Config], journal: Journal, tmp_path: Path
):
    async with watching(load, journal, tmp_path):
        await eventually(lambda: vault.watched)
        before = vault.closed
    assert vault.closed == before + 1
