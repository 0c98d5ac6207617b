"""The commands that talk to a server, against one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner, Result
from server import Endpoint, clean_environment

from nexxus.cli.root import cli

DOCUMENT = {
    "name": "From the command line",
    "schema": {"note": {"text": {"type": "string", "filterable": True}}},
    "auth": {"strategies": {"local": {}}, "userTypes": {"staff": {"private": True}}},
}


class CommandLine:
    """Runs commands against a server, in this process and in a folder of their own."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.options = ("--url", endpoint.url, "--admin-key", endpoint.admin_key)
        self.folder = folder

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, *self.options])

    def json(self, *arguments: str) -> object:
        result = self(*arguments)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def nexxus(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(endpoint, tmp_path)


@pytest.fixture
def app_id(nexxus: CommandLine) -> Iterator[str]:
    """An application made by a command, removed by another."""
    app_id = f"cli-{uuid.uuid4().hex[:12]}"
    (nexxus.folder / "app.json").write_text(json.dumps({"id": app_id, **DOCUMENT}))
    created = nexxus.json("app", "create", "--file", "app.json")
    assert created["id"] == app_id
    yield app_id
    result = nexxus("app", "delete", app_id, "--yes")
    assert result.exit_code == 0, result.stderr


@pytest.fixture
def http(endpoint: Endpoint, app_id: str) -> Iterator[httpx2.Client]:
    headers = {"nxx-app-id": app_id}
    with httpx2.Client(base_url=endpoint.url, headers=headers, timeout=30) as http:
        yield http


@pytest.fixture
def ann(http: httpx2.Client) -> dict:
    """A user's session."""
    answer = http.post("/user/register", json={"username": "ann", "password": "a long password"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_ready_server_is_said_to_be_ready(nexxus: CommandLine):
    result = nexxus("check", "--wait", "10")
    assert result.exit_code == 0
    assert "is ready" in result.stdout
    assert isinstance(nexxus.json("check", "--json"), dict)


def test_applications_are_listed_shown_and_changed(nexxus: CommandLine, app_id: str):
    assert app_id in nexxus("app", "list").stdout
    assert app_id in [item["id"] for item in nexxus.json("app", "list", "--json")]
    (nexxus.folder / "change.toml").write_text('name = "Another name"\n')
    nexxus.json("app", "update", app_id, "--file", "change.toml")
    shown = nexxus.json("app", "show", app_id)
    assert shown["name"] == "Another name"
    assert "note" in shown["schema"]


def test_what_the_server_refuses_is_told_in_its_words(nexxus: CommandLine, app_id: str):
    again = nexxus("app", "create", "--file", "app.json")
    assert again.exit_code == 1
    assert "ApplicationAlreadyExistsException (409)" in again.stderr
    unknown = nexxus("app", "show", "no-such-application")
    assert unknown.exit_code == 1
    assert "ApplicationNotFoundException (404)" in unknown.stderr


def test_a_wrong_admin_key_is_told(nexxus: CommandLine, endpoint: Endpoint):
    nexxus.options = ("--url", endpoint.url, "--admin-key", "a wrong one")
    result = nexxus("app", "list")
    assert result.exit_code == 1
    assert "(401)" in result.stderr


def test_the_admin_key_is_found_in_the_data_directory(nexxus: CommandLine, endpoint: Endpoint):
    (nexxus.folder / "nexxus-data").mkdir()
    (nexxus.folder / "nexxus-data" / "admin.key").write_text(f"{endpoint.admin_key}\n")
    nexxus.options = ("--url", endpoint.url)
    result = nexxus("app", "list")
    assert result.exit_code == 0, result.stderr


def test_users_are_listed_changed_and_deleted(
    nexxus: CommandLine, app_id: str, http: httpx2.Client, ann: dict
):
    user_id = ann["user"]["id"]
    (listed,) = nexxus.json("user", "list", app_id, "--json")
    assert (listed["id"], listed["username"]) == (user_id, "ann")
    assert "ann" in nexxus("user", "list", app_id).stdout

    result = nexxus("user", "update", app_id, user_id, "--type", "staff", "--disable")
    assert result.exit_code == 0, result.stderr
    (listed,) = nexxus.json("user", "list", app_id, "--json")
    assert (listed["userType"], listed["disabled"]) == ("staff", True)
    assert "disabled" in nexxus("user", "list", app_id).stdout
    credentials = {"username": "ann", "password": "a long password"}
    assert http.post("/auth/local", json=credentials).status_code == 401

    assert nexxus("user", "delete", app_id, user_id, "--yes").exit_code == 0
    assert nexxus.json("user", "list", app_id, "--json") == []


def follow(nexxus: CommandLine, *arguments: str) -> subprocess.Popen[str]:
    """`nexxus tail`, once it is subscribed."""
    command = [sys.executable, "-m", "nexxus", "tail", *arguments, *nexxus.options]
    process = subprocess.Popen(
        command,
        cwd=nexxus.folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("following nxx:subscription:"), line + process.stderr.read()
    return process


def test_tail_prints_what_is_there_and_what_happens(
    nexxus: CommandLine, app_id: str, http: httpx2.Client, ann: dict
):
    headers = {"authorization": f"Bearer {ann['token']}"}

    def create(text: str) -> None:
        answer = http.post(
            "/model/note", json={"text": text}, headers={**headers, "prefer": "wait=20"}
        )
        assert answer.status_code == 201, answer.text

    create("early")
    as_ann = ("--username", "ann", "--password", "a long password")
    process = follow(nexxus, app_id, "note", *as_ann, "--count", "1")
    create("late")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    snapshot, event = map(json.loads, output.splitlines())
    assert (snapshot["event"], snapshot["model"]["text"]) == ("snapshot", "early")
    assert (event["event"], event["model"]["text"]) == ("model_created", "late")


def test_tail_prints_only_what_the_filter_lets_through(
    nexxus: CommandLine, app_id: str, http: httpx2.Client, ann: dict
):
    headers = {"authorization": f"Bearer {ann['token']}"}
    wanted = ("--filter", '{"text": "yes"}', "--token", ann["token"], "--count", "1")
    process = follow(nexxus, app_id, "note", *wanted)
    for text in ("no", "yes"):
        http.post("/model/note", json={"text": text}, headers=headers).raise_for_status()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert json.loads(output)["model"]["text"] == "yes"


def test_tail_ends_well_with_an_interrupt(nexxus: CommandLine, app_id: str, ann: dict):
    process = follow(nexxus, app_id, "note", "--token", ann["token"])
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, ""), errors


def test_tail_tells_what_cannot_be_followed(nexxus: CommandLine, app_id: str, ann: dict):
    result = nexxus("tail", app_id, "nothing", "--token", ann["token"])
    assert result.exit_code == 1
    assert "ModelNotFoundException (404)" in result.stderr
    result = nexxus("tail", app_id, "note", "--token", "no token")
    assert result.exit_code == 1
    assert "INVALID_PARAMETERS" in result.stderr or "TOKEN" in result.stderr.upper()


def test_bench_measures_and_leaves_nothing_behind(nexxus: CommandLine):
    measured = nexxus.json("bench", "--seconds", "0.3", "--devices", "2", "--json")
    assert measured["writesPerSecond"] > 0
    latency = measured["writeToPushMs"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert not [a for a in nexxus.json("app", "list", "--json") if a["id"].startswith("bench-")]
