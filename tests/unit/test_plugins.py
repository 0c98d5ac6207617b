"""Plugins are discovered, distinguished, and named in errors if they do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.observability.figures import gauge
from nexxus.plugins import AdapterKind, Catalog
from nexxus.testing.context import adapter_context
from nexxus.testing.journal import Journal
from nexxus.version import __version__


def make(settings: object, context: AdapterContext) -> object:
    return (settings, context)


class Offers:
    """A plugin that provides the given adapters."""

    def __init__(self, *, databases=(), workers=(), strategies=()) -> None:
        self._databases, self._workers, self._strategies = databases, workers, strategies

    @hookimpl
    def nexxus_databases(self):
        return list(self._databases)

    @hookimpl
    def nexxus_workers(self):
        return list(self._workers)

    @hookimpl
    def nexxus_auth_strategies(self):
        return list(self._strategies)


def test_the_built_in_adapters_use_the_same_hooks():
    catalog = Catalog.discover(installed=False)
    assert "sqlite" in catalog.names(AdapterKind.DATABASE)
    assert "in-process" in catalog.names(AdapterKind.BROKER)
    assert "in-process" in catalog.names(AdapterKind.REGISTRY)
    assert "loguru" in catalog.names(AdapterKind.LOGGER)
    assert {offer.origin for offer in catalog.offers()} == {"built in"}


def test_every_built_in_adapter_can_be_created(tmp_path: Path):
    catalog = Catalog.discover(installed=False)
    context = adapter_context(tmp_path)
    for offer in catalog.offers():
        struct = offer.adapter.settings
        settings = None if struct is None else struct()
        assert catalog.create(offer.kind, offer.adapter.name, settings, context) is not None


async def test_an_adapter_gets_a_logger_and_figures_with_its_name(
    tmp_path: Path,
):
    class MyFigures(msgspec.Struct):
        rows: Annotated[int, gauge("Rows.")] = 7

    def create(settings: None, context: AdapterContext) -> AdapterContext:
        return context

    offers = Offers(databases=[Adapter("mine-own", None, create, interface=1, scope="shared")])
    catalog = Catalog.discover(offers, installed=False)
    journal = Journal()
    context = adapter_context(tmp_path, logger=journal)
    given = catalog.create(AdapterKind.DATABASE, "mine-own", None, context)
    assert (given.node, given.data_dir) == ("a-node", tmp_path)
    given.logger.warning("something is odd", table="users")
    (record,) = journal.records
    assert record.fields == {"kind": "database", "adapter": "mine-own", "table": "users"}
    given.figures.add(MyFigures())
    (family,) = await context.figures.collect(lambda *_: None)
    assert family.name == "nexxus_database_mine_own_rows"


def test_an_unknown_adapter_cannot_be_created(tmp_path: Path):
    context = adapter_context(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no database 'oracle' .*elasticsearch, sqlite"):
        Catalog.discover(installed=False).create(AdapterKind.DATABASE, "oracle", None, context)


def test_an_embedders_plugin_is_added_to_the_built_in_ones():
    adapter = Adapter("mine", None, make, interface=1, scope="shared", summary="my own")
    catalog = Catalog.discover(Offers(databases=[adapter]), installed=False)
    assert {"mine", "sqlite"} <= set(catalog.names(AdapterKind.DATABASE))
    assert catalog.get(AdapterKind.DATABASE, "mine") is adapter
    assert catalog.get(AdapterKind.BROKER, "mine") is None


def test_a_plugin_that_is_given_twice_counts_once():
    offers = Offers(databases=[Adapter("mine", None, make, interface=1, scope="shared")])
    catalog = Catalog.discover(offers, offers, installed=False)
    assert "mine" in catalog.names(AdapterKind.DATABASE)


def test_two_adapters_with_the_same_name_are_refused():
    clash = Offers(databases=[Adapter("sqlite", None, make, interface=1, scope="shared")])
    with pytest.raises(ConfigurationError, match="both offer 'sqlite'"):
        Catalog.discover(clash, installed=False)


def test_two_adapters_that_share_a_plugin_section_are_refused():
    x = Adapter("x", None, make, interface=1)
    clash = Offers(workers=[x], strategies=[x])
    with pytest.raises(ConfigurationError, match="both offer 'x'"):
        Catalog.discover(clash, installed=False)


def test_anything_but_an_adapter_is_refused():
    with pytest.raises(ConfigurationError, match="no list of Adapter"):
        Catalog.discover(Offers(databases=["sqlite"]), installed=False)


@pytest.mark.parametrize("settings", ["my_plugin:Settings", Catalog, object()])
def test_settings_that_are_not_a_struct_are_refused_with_the_adapter(settings: object):
    adapter: Adapter[object, object] = Adapter("odd", settings, make, interface=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"worker 'odd' has the settings"):
        Catalog.discover(Offers(workers=[adapter]), installed=False)


def test_an_adapter_for_another_version_of_the_interface_is_refused_with_both_versions():
    late = Offers(workers=[Adapter("late", None, make, interface=99)])
    expected = rf"worker 'late' was written for version 99 .* Nexxus {__version__} supports 1;"
    with pytest.raises(ConfigurationError, match=expected):
        Catalog.discover(late, installed=False)


@pytest.mark.parametrize("scope", [None, "node"])
def test_a_database_must_state_its_scope(scope: object):
    adapter = Adapter("vague", None, make, interface=1, scope=scope)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"database 'vague' has the scope"):
        Catalog.discover(Offers(databases=[adapter]), installed=False)


def test_a_summary_states_who_can_share_the_adapter():
    catalog = Catalog.discover(installed=False)
    summaries = {
        offer.adapter.name: offer.summary for offer in catalog.offers(AdapterKind.DATABASE)
    }
    assert summaries["sqlite"].endswith("; for one process")
    assert summaries["elasticsearch"].endswith("; for any number of nodes")


PLUGIN = "from nexxus.hookspecs import hookimpl, Adapter\n"
HOOK = "@hookimpl\ndef nexxus_workers():\n"
OFFER = f"{HOOK}    return [Adapter('late', None, print, interface=1)]\n"


def discover_with(folder: Path, module: str) -> subprocess.CompletedProcess[str]:
    """The workers that a process lists when a package with this module is installed."""
    metadata = folder / "a_plugin-2.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin\nVersion: 2.0\n")
    (metadata / "entry_points.txt").write_text("[nexxus]\nany = a_plugin\n")
    (folder / "a_plugin.py").write_text(module)
    return subprocess.run(
        [sys.executable, "-m", "nexxus", "plugins"],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_installed_package_is_found_by_its_entry_point(tmp_path: Path):
    result = discover_with(tmp_path, PLUGIN + OFFER)
    assert result.returncode == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["worker", "late", "a-plugin", "2.0"] in rows


def test_a_package_that_cannot_be_imported_is_named_and_ends_the_process_with_2(tmp_path: Path):
    result = discover_with(tmp_path, "import nothing_that_exists\n")
    assert result.returncode == 2
    assert "the plugin a-plugin 2.0 cannot be loaded (a_plugin)" in result.stderr
    assert "nothing_that_exists" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_hook_with_unknown_arguments_is_named_and_ends_the_process_with_2(tmp_path: Path):
    wrong = "@hookimpl\ndef nexxus_workers(everything):\n    return []\n"
    result = discover_with(tmp_path, PLUGIN + wrong)
    assert result.returncode == 2
    assert "a-plugin 2.0 does not fit" in result.stderr


def test_a_hook_that_fails_is_named_and_ends_the_process_with_2(tmp_path: Path):
    result = discover_with(tmp_path, f"{PLUGIN}{HOOK}    return [Adapter('old', None, print)]\n")
    assert result.returncode == 2
    assert "nexxus_workers of the plugin a-plugin 2.0 failed: TypeError" in result.stderr
    assert "interface" in result.stderr
    assert "Traceback" not in result.stderr
