"""Every figure is in the documentation's list. (That a scrape has only these is tested by
``tests/integration/api/test_metrics.py``.)"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import nexxus
from nexxus.observability.figures import described

OPERATIONS = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def structs() -> Iterator[type[msgspec.Struct]]:
    """Every struct of ours that has figures."""
    for module in pkgutil.walk_packages(nexxus.__path__, "nexxus."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    unseen = [msgspec.Struct]
    while unseen:
        subclasses = unseen.pop().__subclasses__()
        unseen += subclasses
        for each in subclasses:  # the annotations of others need not make sense at run time
            marks = re.findall(r"\b(?:counter|gauge|histogram)\(", str(each.__annotations__))
            if marks and each.__module__.startswith("nexxus."):
                yield each


def endings() -> Iterator[str]:
    for struct in structs():
        for field, figure in described(struct).items():
            yield f"_{field}{'_total' if figure.kind == 'counter' else ''}"


def test_every_figure_is_listed() -> None:
    listed = re.findall(r"^\| `(nexxus_\w+)` \|", OPERATIONS.read_text(), re.MULTILINE)
    missing = {ending for ending in endings() if not any(name.endswith(ending) for name in listed)}
    if missing:
        pytest.fail(f"docs/operations.md, “Monitoring”, does not list {sorted(missing)}")
