"""The pauses between retries."""

from __future__ import annotations

import pytest

from nexxus.toolkit.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3)
    assert [backoff.delay(failures) for failures in range(1, 6)] == [0.5, 1, 2, 3, 3]


@pytest.mark.parametrize("failures", [64, 10_000])
def test_any_number_of_failures_has_a_pause(failures: int) -> None:
    assert Backoff(first=0.5, longest=3).delay(failures) == 3


def test_jitter_shortens_a_pause_by_at_most_its_fraction() -> None:
    backoff = Backoff(first=1, longest=4, jitter=0.5)
    pauses = {backoff.delay(2) for _ in range(100)}
    assert len(pauses) > 1
    assert all(1 <= pause <= 2 for pause in pauses)
