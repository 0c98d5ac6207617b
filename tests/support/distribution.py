"""How the tests are shared out among several processes (see ``scripts/test``).

A file at a time, but for the tests of one expensive server: they all stay together, so that it is
started once.
"""

from __future__ import annotations

import os

import pytest

GROUPS = {
    "elasticsearch_server": "cluster",
    "installed": "cluster",
    "postgres_server": "postgres",
    "rabbitmq_server": "rabbitmq",
    "redis_server": "redis",
    "redis_cluster": "redis",
}
"""The fixtures that start a server, or install packages, for the whole run, with a name for the
group of tests that need them. What takes longest to start is shared with the cluster's tests."""

ORDER = ("cluster", "fault", "conformance", "integration", "acceptance", "unit")
"""The folders with the longest tests first: short ones at the end keep everybody busy."""

MOST = 4


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: tests wait a third of their time, e.g. for servers to start.

    Each process has its own server under test. With many more processes than cores, these servers
    would exceed their time limits.
    """
    return min((os.cpu_count() or 1) + 2, MOST)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name each test's group, and put them in order."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    tests = config.rootpath / "tests"

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return ORDER.index(folder) if folder in ORDER else len(ORDER)

    items.sort(key=place)


def _group(item: pytest.Item) -> str:
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in GROUPS:
            return GROUPS[fixture]
    return item.nodeid.partition("::")[0]
