"""The readme does what it says: its blocks are run against a server as it is after installing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from server import Server
from snippets import Snippet, run, running, snippets_of
from waiting import eventually

README = snippets_of("README.md")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that makes its own admin key, in the folder where the readme has it."""
    server = Server(tmp_path, NEXXUS_ADMIN__KEY="")
    (tmp_path / "nexxus-data").symlink_to(server.data_dir)
    try:
        yield server.start()
        assert server.stop() == 0, server.log[-8000:]
    finally:
        server.close()


def joined(*snippets: Snippet) -> Snippet:
    """Blocks of one window: what one sets the next one uses."""
    return snippets[0]._replace(code="\n".join(snippet.code for snippet in snippets))


def _data_of(stream: str, event: str) -> Iterator[Any]:
    """The data of each event of that name in a stream of server-sent events."""
    for block in stream.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if fields.get("event") == event:
            yield json.loads(fields["data"])


def bash(code: str) -> Snippet:
    """A step that a reader does not take: windows share nothing but what is in a file."""
    return Snippet("README.md", "", "bash", code)


async def test_the_tour_ends_with_the_three_events_that_it_promises(server: Server) -> None:
    tour = [step.on(server.endpoint) for step in README if step.how.startswith("tour")]
    before = list(takewhile(lambda step: step.how == "tour", tour))
    third_window, *after = tour[len(before) :]

    made = run(joined(*before, bash("printf 'TOKEN=%s' \"$TOKEN\" > session")), server.folder)
    assert '"error"' not in made, made
    assert '"Buy milk"' in made, made

    with running(third_window, server.folder, NEXXUS_API__PORT=str(server.port)) as output:

        def shown(count: int) -> list[dict[str, Any]]:
            lines = output.read_text().splitlines()
            assert len(lines) >= count, lines
            return [json.loads(line) for line in lines]

        (snapshot,) = await eventually(lambda: shown(1))
        assert snapshot["model"]["title"] == "Buy milk"

        written = run(joined(bash(". ./session"), *after), server.folder)
        assert '"error"' not in written, written
        told = {event["event"]: event for event in await eventually(lambda: shown(4))}

    (stream,) = [step.on(server.endpoint) for step in README if step.how == "stream"]
    with running(joined(bash(". ./session"), stream), server.folder) as output:
        page = await eventually(lambda: [*_data_of(output.read_text(), "subscribed")])
    assert {item["id"] for item in page[0]["items"]} >= {"milk"}

    assert told["model_created"]["model"]["title"] == "Call Bob"
    assert told["model_updated"]["model"]["id"] == "milk"
    assert told["model_deleted"]["reason"] == "left"


@pytest.mark.parametrize("snippet", [s for s in README if s.how == "python"])
def test_the_python_of_the_readme_runs(snippet: Snippet, tmp_path: Path) -> None:
    run(snippet, tmp_path)
