"""The examples, run as their readmes say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from browser import browser
from connection import Connection
from ports import free_port
from server import ADMIN_KEY, Server, clean_environment, run_nexxus
from waiting import eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]
# A fixture, found here by pytest.

EXAMPLES = Path(__file__).parents[3] / "examples"


@contextmanager
def running(command: list[str], cwd: Path) -> Iterator[Path]:
    """The command in the background, in a folder of its own; yields its log."""
    log = cwd / f"{Path(command[1]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command[1:]] if command[0] == "python" else command,
            cwd=cwd,
            env=clean_environment(PYTHONUNBUFFERED="1"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def served(app: str, example: str, cwd: Path) -> Iterator[str]:
    """An example's ASGI application under uvicorn; yields its address."""
    port = free_port()
    options = ["--app-dir", str(EXAMPLES / example), "--port", str(port), "--log-level", "warning"]
    with running(["python", "-m", "uvicorn", app, *options], cwd):
        yield f"http://127.0.0.1:{port}"


async def reachable(url: str) -> None:
    async def answers() -> bool:
        try:
            async with httpx2.AsyncClient(trust_env=False) as http:
                return (await http.get(url)).status_code == 200
        except httpx2.TransportError:
            return False

    await eventually(answers)


async def test_embedding_a_route_of_ones_own_writes_and_the_mounted_socket_tells(
    tmp_path: Path,
) -> None:
    with served("main:app", "embedding", tmp_path) as url:
        await reachable(f"{url}/sync/readyz")
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
            device = await http.post(
                "/sync/device/register", headers={"nxx-app-id": "hello"}, json={"name": "test"}
            )
            socket = await Connection.open(f"ws{url.removeprefix('http')}/sync/ws")
            await socket.send("register", {"token": device.json()["token"]})
            await socket.request("subscribe", {"model": "greeting"})

            answer = await http.post("/greet/Ada")

            assert (answer.status_code, answer.json()["name"]) == (201, "Ada")
            event = await socket.wait_for("model_created")
            assert event["data"]["model"] == answer.json()
            await socket.close()


async def enter_chat(browser: Browser, url: str, name: str) -> Page:
    page = await browser.new_page()
    await page.goto(url)
    await page.fill("#username", name)
    await page.fill("#password", "correct horse")
    await page.click("#sign-in button")
    await page.wait_for_selector("#chat:not([hidden]) #text")
    return page


@pytest.mark.asyncio(loop_scope="module")
async def test_chat_two_people_see_each_other_type_speak_and_take_it_back(
    browser: Browser, tmp_path: Path
) -> None:
    with served("chat:app", "chat", tmp_path) as url:
        await reachable(f"{url}/sync/readyz")
        ada, bob = [await enter_chat(browser, url, name) for name in ("ada", "bob")]

        await ada.type("#text", "Hello, Bob")
        await bob.wait_for_selector("#typing:text('ada is typing')")
        await ada.press("#text", "Enter")
        await bob.wait_for_selector("#messages li:has-text('Hello, Bob')")
        assert await bob.query_selector("#messages button") is None, "another's message"

        await ada.click("#messages li.own button")
        await bob.wait_for_selector("#messages li", state="detached")

        await bob.select_option("#room", "Garden")
        await ada.fill("#text", "Still here")
        await ada.press("#text", "Enter")
        await ada.wait_for_selector("#messages li")
        assert await bob.query_selector("#messages li") is None, "another room"


@pytest.fixture
def fleet_server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    try:
        yield server.start()
    finally:
        server.close()


async def test_fleet_the_dispatcher_sees_who_sets_out_moves_and_parks(
    fleet_server: Server, tmp_path: Path
) -> None:
    fleet, url = EXAMPLES / "fleet", fleet_server.endpoint.url
    made = run_nexxus(
        *("app", "create", "--file", str(fleet / "application.json"), "--url", url),
        cwd=tmp_path,
        NEXXUS_ADMIN__KEY=ADMIN_KEY,
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["id"] == "fleet"
    with ExitStack() as stack:
        stack.enter_context(running(["python", str(fleet / "vehicles.py"), url], tmp_path))
        log = stack.enter_context(running(["python", str(fleet / "dispatcher.py"), url], tmp_path))

        def all_seen() -> bool:
            seen = log.read_text()
            assert "Traceback" not in seen, seen
            return all(what in seen for what in ("sets out", "moves", "parks"))

        await eventually(all_seen)
