"""The documents' code blocks that are meant to be run, and a way to run them.

A block is marked by a comment on the line before it, which a reader does not see::

    <!-- run: tour -->
    ```bash
    …
    ```
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from server import Endpoint, clean_environment

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"<!-- run: (?P<how>[^>]*?) -->\n+```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL
)


class Snippet(NamedTuple):
    """A marked block: the document, how it is to be run, its language and its text."""

    document: str
    how: str
    language: str
    code: str

    def on(self, endpoint: Endpoint) -> Snippet:
        """The same for a server that is elsewhere than the documents say."""
        code = self.code.replace("http://127.0.0.1:8080", endpoint.url)
        return self._replace(code=code.replace("ws://127.0.0.1:8081/", endpoint.ws_url))


def snippets_of(document: str) -> list[Snippet]:
    """A document's marked blocks, in their order."""
    text = (ROOT / document).read_text()
    return [Snippet(document, *match.groups()) for match in _BLOCK.finditer(text)]


def run(snippet: Snippet, cwd: Path, **environment: str) -> str:
    """Run a block to its end, which must be a good one; what it printed."""
    done = subprocess.run(
        _command(snippet),
        cwd=cwd,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{snippet.document}:\n{snippet.code}\n\n{done.stdout}"
    return done.stdout


@contextmanager
def running(snippet: Snippet, cwd: Path, **environment: str) -> Iterator[Path]:
    """A block that goes on while others run; yields the file of what it prints."""
    output = cwd / "in-the-background"
    with output.open("wb") as file:
        process = subprocess.Popen(
            _command(snippet),
            cwd=cwd,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            start_new_session=True,
        )
    try:
        yield output
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _command(snippet: Snippet) -> list[str]:
    if snippet.language == "python":
        return [sys.executable, "-c", snippet.code]
    return ["bash", "-euo", "pipefail", "-c", snippet.code]


def _environment(more: dict[str, str]) -> dict[str, str]:
    """With the `nexxus` of this environment to be found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return clean_environment(PATH=path, PYTHONUNBUFFERED="1", **more)
