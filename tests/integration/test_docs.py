"""The documents' examples run, and their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from server import Endpoint, Server
from snippets import ROOT, Snippet, run, snippets_of
from waiting import eventually

DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "nexxus/**/*.md")
    for path in ROOT.glob(pattern)
)
SNIPPETS = [snippet for document in DOCUMENTS for snippet in snippets_of(document)]
_LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<heading>[^)\s]*))?\)")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    server = Server(tmp_path_factory.mktemp("demo"), "--demo")
    try:
        yield server.start().endpoint
        assert server.stop() == 0, server.log[-8000:]
    finally:
        server.close()


def named(snippet: Snippet) -> str:
    return f"{snippet.document}-{snippet.language}"


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.how == "demo"], ids=named)
async def test_an_example_for_the_demonstration_runs(
    snippet: Snippet, demo: Endpoint, tmp_path: Path
) -> None:
    async def has_flights() -> bool:
        async with httpx2.AsyncClient(trust_env=False) as http:
            headers, body = {"nxx-app-id": "demo"}, {"type": "flight", "filter": {"origin": "ORD"}}
            answer = await http.post(f"{demo.url}/model/count", headers=headers, json=body)
        return answer.status_code == 200 and answer.json()["data"]["count"] > 0

    await eventually(has_flights)
    output = run(snippet.on(demo), tmp_path)
    assert output.strip(), "it printed nothing"
    assert '"error"' not in output, output


@pytest.mark.parametrize(
    "snippet",
    [s for s in SNIPPETS if s.how == "python" and s.document != "README.md"],
    ids=named,
)
def test_an_example_in_python_runs(snippet: Snippet, installed: Path, tmp_path: Path) -> None:
    run(snippet, tmp_path, PYTHONPATH=str(installed))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    source = ROOT / document
    for link in _LINK.finditer(source.read_text()):
        target = (source.parent / link["path"]) if link["path"] else source
        assert target.exists(), f"{document} links to {link['path']}"
        if link["heading"] and target.suffix == ".md":
            assert link["heading"] in headings(target), f"{document} links to {link[0]}"


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as they are made of their text."""
    texts = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}
