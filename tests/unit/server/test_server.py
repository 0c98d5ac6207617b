"""A server that has not started says so, and how to start it."""

from __future__ import annotations

import pytest

from nexxus import Config, Nexxus
from nexxus.errors import NotStarted


@pytest.mark.parametrize("part", ["app", "gateway_app", "health_app", "admin_key", "applications"])
def test_the_parts_of_a_server_exist_once_it_has_started(part: str) -> None:
    nexxus = Nexxus(Config.from_mapping({}))
    with pytest.raises(NotStarted, match="async with Nexxus"):
        getattr(nexxus, part)
