"""One Elasticsearch for the whole run, started when a test first needs it."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from ports import free_port
from running import running
from services.elasticsearch import ElasticsearchServer

__all__ = ["elasticsearch_server", "new_index_prefix", "running_elasticsearch"]


@contextmanager
def running_elasticsearch(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ElasticsearchServer]:
    """A server of its own, killed at the end: nobody will want its data."""
    with running(
        ElasticsearchServer(tmp_path_factory.mktemp("elasticsearch"), free_port())
    ) as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticsearchServer]:
    """A running server; whoever uses it takes a prefix of his own, see `new_index_prefix`."""
    with running_elasticsearch(tmp_path_factory) as server:
        yield server


@contextmanager
def new_index_prefix(server: ElasticsearchServer) -> Iterator[str]:
    """A value for ``database.index_prefix`` that nobody else has; its indices go at the end."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    try:
        yield prefix
    finally:
        # Every index costs the server memory, and every other one a little time.
        with suppress(OSError):
            names = _ask(server, "GET", f"/{prefix}.*?filter_path=*.settings.index.uuid")
            if names:
                _ask(server, "DELETE", f"/{','.join(names)}")


def _ask(server: ElasticsearchServer, method: str, path: str) -> dict[str, object]:
    request = urllib.request.Request(f"{server.url}{path}", method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        content: dict[str, object] = json.load(answer)
    return content
