"""Plugins are found, told apart, and blamed when they do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, AdapterContext, hookimpl
from nexxus.plugins import Catalog, Kind, settings_type


def make(settings: object, context: AdapterContext) -> object:
    return (settings, context)


class Offers:
    """A plugin that offers whatever it is given."""

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


def test_the_built_in_adapters_come_through_the_same_hooks():
    catalog = Catalog.discover(installed=False)
    assert "sqlite" in catalog.names(Kind.DATABASE)
    assert "in-process" in catalog.names(Kind.BROKER)
    assert "in-process" in catalog.names(Kind.REGISTRY)
    assert "loguru" in catalog.names(Kind.LOGGER)
    assert {offer.origin for offer in catalog.offers()} == {"built in"}


def test_every_built_in_adapter_can_be_made(tmp_path: Path):
    context = AdapterContext("a-node", tmp_path)
    for offer in Catalog.discover(installed=False).offers():
        struct = settings_type(offer.adapter)
        required = struct is not None and any(
            field.required for field in msgspec.structs.fields(struct)
        )
        if not required:
            assert offer.adapter.create(struct() if struct else None, context) is not None


def test_an_embedders_plugin_stands_beside_the_built_in_ones():
    adapter = Adapter("mine", "", make, "my own")
    catalog = Catalog.discover(Offers(databases=[adapter]), installed=False)
    assert {"mine", "sqlite"} <= set(catalog.names(Kind.DATABASE))
    assert catalog.get(Kind.DATABASE, "mine") is adapter
    assert catalog.get(Kind.BROKER, "mine") is None


def test_two_adapters_of_one_name_are_refused():
    clash = Offers(databases=[Adapter("sqlite", "", make)])
    with pytest.raises(ConfigurationError, match="both offer 'sqlite'"):
        Catalog.discover(clash, installed=False)


def test_two_adapters_that_share_a_plugin_section_are_refused():
    clash = Offers(workers=[Adapter("x", "", make)], strategies=[Adapter("x", "", make)])
    with pytest.raises(ConfigurationError, match="both offer 'x'"):
        Catalog.discover(clash, installed=False)


def test_what_is_no_adapter_is_refused():
    with pytest.raises(ConfigurationError, match="no list of Adapter"):
        Catalog.discover(Offers(databases=["sqlite"]), installed=False)


@pytest.mark.parametrize(
    "path", ["nexxus.nothing:Settings", "nexxus.plugins:Nothing", "nexxus.plugins:Catalog"]
)
def test_settings_that_cannot_be_loaded_are_told_with_the_adapter(path: str):
    with pytest.raises(ConfigurationError, match="broken"):
        settings_type(Adapter("broken", path, make))


PLUGIN = "from nexxus.hookspecs import hookimpl, Adapter\n"
OFFER = "@hookimpl\ndef nexxus_workers():\n    return [Adapter('late', 'nowhere:S', print)]\n"


def discover_with(folder: Path, module: str) -> subprocess.CompletedProcess[str]:
    """What a process prints of the workers when a package with this module is installed."""
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
