"""Applications of the configuration, at a start and at the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexxus import Config, Nexxus
from nexxus.applications.system import APPLICATION, SYSTEM
from nexxus.domain.objects import ObjectKey
from nexxus.errors import ConfigurationError, StartupError
from nexxus.interfaces.database import Mutation, Record

TEXT = {"type": "string", "filterable": True}


def declared(folder: Path, **application: Any) -> Nexxus:
    """A server on that folder with one application."""
    settings = {
        "server": {"data_dir": str(folder)},
        "logger": {"level": "critical"},
        "applications": [{"id": "shop", **application}],
    }
    return Nexxus(Config.from_mapping(settings))


async def test_a_start_with_what_was_declared_before_writes_nothing(tmp_path: Path) -> None:
    key = ObjectKey(SYSTEM, APPLICATION.name, "shop")
    async with declared(tmp_path, schema={"task": {"title": TEXT}}) as nexxus:
        (before,) = await nexxus.database.load([key])

    async with declared(tmp_path, schema={"task": {"title": TEXT}}) as nexxus:
        assert await nexxus.database.load([key]) == [before]
        assert nexxus.applications.get("shop").models["task"].filterable["title"].filterable

    async with declared(tmp_path, name="Shop") as nexxus:
        assert nexxus.applications.get("shop").name == "Shop"
        assert "task" in nexxus.applications.get("shop").models


async def test_a_declared_schema_that_stored_objects_do_not_fit_is_refused_by_name(
    tmp_path: Path,
) -> None:
    async with declared(tmp_path, schema={"task": {"title": TEXT}}) as nexxus:
        task = {"id": "t", "type": "task", "appId": "shop", "version": 1, "title": "x"}
        key = ObjectKey("shop", "task", "t")
        assert await nexxus.database.commit([Mutation(key, None, Record(task, 1))]) == [True]

    with pytest.raises(StartupError, match=r"mapping: \[\[applications\]\] shop: .*such as t:"):
        await declared(tmp_path, schema={"task": {"colour": TEXT}}).start()


async def test_a_declared_way_to_sign_in_that_nobody_offers_is_refused_by_name(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigurationError, match=r"\[\[applications\]\] shop: .*pigeon"):
        declared(tmp_path, auth={"strategies": {"pigeon": {}}})
