"""Deliveries of events, as tests write them down."""

from __future__ import annotations

from collections.abc import Sequence

from nexxus.domain.verdicts import Verdict, Verdicts


def verdicts(**keys: Sequence[str]) -> Verdicts:
    """What an event means for routing keys, by verdict: ``created=["c1"], left=["c2"]``."""
    return {key: Verdict[name.upper()] for name in keys for key in keys[name]}
