"""Opening and closing a registry."""

from __future__ import annotations

import pytest

from nexxus.errors import ServiceUnavailable
from nexxus.interfaces.registry import Registry
from nexxus.testing.registry_kit.materials import (
    AnyRegistry,
)


class OpeningConformance(AnyRegistry):
    """Opening, closing, asking."""

    async def test_an_open_registry_answers_a_ping(self, registry: Registry) -> None:
        await registry.ping()

    async def test_closing_twice_is_fine_and_a_closed_one_does_not_answer(
        self, registry: Registry
    ) -> None:
        await registry.close()
        await registry.close()
        with pytest.raises(ServiceUnavailable):
            await registry.ping()
