"""The entries of ``auth.strategies``."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nexxus.domain.strategy_settings import read_entry
from nexxus.errors import InvalidParameters

contract = pytest.mark.contract(
    "2. Applications (tenants) and schemas", "the settings of strategies are checked"
)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    client_id: str = msgspec.field(name="clientID")
    retries: int = 3


TYPES = {"local": Nothing, "provider": Settings}


def test_an_entry_is_served_by_the_strategy_of_its_name() -> None:
    assert read_entry("local", {}, TYPES) == ("local", Nothing())
    assert read_entry("provider", {"clientID": "us"}, TYPES) == ("provider", Settings("us"))


def test_an_entry_may_name_its_strategy() -> None:
    entry = {"strategy": "provider", "clientID": "us", "retries": 1.0}
    assert read_entry("second-one", entry, TYPES) == ("provider", Settings("us", 1))


@pytest.mark.contract(
    "2. Applications and schemas", "the settings of each strategy are checked with the application"
)
@contract
@pytest.mark.parametrize(
    ("name", "entry", "field"),
    [
        ("provider", {}, "provider.clientID"),
        ("provider", {"clientID": 7}, "provider.clientID"),
        ("provider", {"clientID": "us", "retrys": 1}, "provider.retrys"),
        ("local", {"x": 1}, "local.x"),
        ("carrier-pigeon", {}, "carrier-pigeon"),
        ("second", {"strategy": "pigeon"}, "second.strategy"),
        ("second", {"strategy": ["local"]}, "second.strategy"),
        ("refresh", {"strategy": "local"}, "refresh"),
        ("a/b", {"strategy": "local"}, "a/b"),
        ("", {"strategy": "local"}, ""),
        ("-a", {"strategy": "local"}, "-a"),
    ],
)
def test_what_cannot_be_is_refused_with_the_place(
    name: str, entry: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        read_entry(name, entry, TYPES)

    place = f"auth.strategies.{field}"
    assert refusal.value.message.startswith(place)
    assert refusal.value.details is not None
    assert refusal.value.details["field"] == place
