"""Contract §10: the process, its configuration and its ends. Also what survives a restart."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from client import Admin, NexxusClient, assert_error, replace, unique
from connection import Connection
from documents import open_application, signed_application
from ports import free_port
from server import Server, run_nexxus
from view import Ledger
from waiting import eventually
from websockets.exceptions import InvalidStatus

contract = partial(pytest.mark.contract, "10. The process")
sessions = partial(pytest.mark.contract, "3. Sessions, users, devices")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(*arguments: str, **environment: str) -> Server:
        servers.append(Server(tmp_path / f"server{len(servers)}", *arguments, **environment))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def ended(server: Server, patience: float = 30) -> int:
    """The exit code of a server that cannot go on."""
    assert server.process is not None
    code = server.process.wait(patience)
    server.process = None
    return code


# Restarts


@sessions("what survives a restart")
async def test_sessions_devices_fates_keys_and_objects_survive_a_restart(
    start: Callable[..., Server],
) -> None:
    server = start().start()
    admin = Admin(server.endpoint)
    app = admin.create(signed_application())
    key = unique("key")
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await client.register_user("ann")
        body = {"title": "before"}
        first = await client.write("POST", "/model/task", body, Idempotency_Key=key)
        task = first.json()["data"]
        rejected = await client.delete("task", "nothing", wait=False)
        await client.decided(rejected["operationId"])

        assert server.stop() == 0
        server.start()

        await client.ok("GET", "/user/me")
        assert (await client.ok("GET", "/device"))["id"] == client.device_id
        assert await client.get("task", task["id"]) == task
        assert (await client.fate(first.headers["nxx-operation-id"]))["state"] == "applied"
        assert (await client.fate(rejected["operationId"]))["state"] == "rejected"
        again = await client.write("POST", "/model/task", body, Idempotency_Key=key)
        assert again.json()["data"]["id"] == task["id"]
        assert await client.count("task") == 1
        await client.refresh()
        await client.connect()
        view = await client.subscribe("task", limit=100)
        assert (await client.update("task", task["id"], replace(points=1)))["version"] == 2
        await client.converged(view)
    admin.close()


@sessions("what survives a restart")
async def test_after_a_restart_a_cursor_is_answered_with_a_resync_of_nothing(
    start: Callable[..., Server],
) -> None:
    server = start().start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"], ledger=Ledger()) as client:
        await (await client.register_device()).connect()
        view = await client.subscribe("task", limit=100)
        await client.create("task", title="x")
        await client.converged(view)

        assert await asyncio.to_thread(server.stop) == 0
        assert await client.socket.wait_closed() == 1001
        server.start()
        client.repeats = True
        await client.connect(resume=True)

        assert client.socket.frames[1]["event"] == "resync"
        assert client.socket.frames[1]["data"]["channels"] == []
        await client.settled()
        await client.create("task", title="y")
        await client.converged(view)
    admin.close()


@contract("it drains and exits with 0")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_a_signal_drains_the_server(start: Callable[..., Server], name: str) -> None:
    server = start().start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        taken = [await client.create("task", title=str(n), wait=False) for n in range(20)]

        assert server.process is not None
        server.process.send_signal(getattr(signal, name))
        assert await client.socket.wait_closed() == 1001
        assert await asyncio.to_thread(ended, server) == 0

        server.start()
        for write in taken:
            assert (await client.get("task", write["id"]))["version"] == 1
    admin.close()


@contract("it drains and exits with 0")
async def test_a_second_signal_ends_the_process_at_once(start: Callable[..., Server]) -> None:
    server = start().start()
    assert server.process is not None

    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)

    await asyncio.to_thread(ended, server, 10)


@contract("it drains and exits with 0")
async def test_a_signal_ends_a_server_that_waits_for_a_service(
    start: Callable[..., Server],
) -> None:
    nowhere = f"amqp://127.0.0.1:{free_port()}/"
    server = start("--set=broker.adapter=rabbitmq", f"--set=broker.url={nowhere}")
    server.launch()
    await eventually(lambda: "waiting for a service" in server.log)

    assert await asyncio.to_thread(server.stop) == 0
    assert "Traceback" not in server.log


# Starting


@contract("the admin key")
async def test_without_a_key_one_is_made_kept_and_shown_to_nobody_else(tmp_path: Path) -> None:
    server = Server(tmp_path)
    del server.environment["NEXXUS_ADMIN__KEY"]
    try:
        server.start()
        private = [path for path in server.data_dir.rglob("*") if "key" in path.name]
        assert len(private) == 1, private
        assert stat.S_IMODE(private[0].stat().st_mode) == 0o600
        key = private[0].read_text().strip()
        assert len(key) >= 32
        assert key not in server.log
        assert str(private[0]) in server.log
        async with httpx2.AsyncClient() as http:
            answer = await http.get(
                f"{server.endpoint.url}/admin/applications",
                headers={"Authorization": f"Bearer {key}"},
            )
        assert answer.status_code == 200
        assert answer.json() == {"data": {"items": []}}
    finally:
        server.close()


@contract("a start that cannot succeed")
def test_a_port_in_use_is_an_exit_with_1(start: Callable[..., Server]) -> None:
    server = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        server.launch()

        assert ended(server) == 1
    assert str(server.port) in server.log
    assert "Traceback" not in server.log


@contract("a start that cannot succeed")
def test_a_gateway_port_in_use_is_an_exit_with_1(start: Callable[..., Server]) -> None:
    server = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.gateway_port))
        taken.listen()
        server.launch()

        assert ended(server) == 1
    assert str(server.gateway_port) in server.log


@contract("health on a port of its own")
def test_a_node_tells_how_it_is_on_a_port_of_its_own_too(start: Callable[..., Server]) -> None:
    port = free_port()
    start("--set", f"health.port={port}").start()

    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx2.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    assert httpx2.post(f"http://127.0.0.1:{port}/login", json={}).status_code == 404


@contract("a start that cannot succeed")
def test_a_data_directory_that_cannot_be_used_is_an_exit_with_1(
    start: Callable[..., Server],
) -> None:
    server = start()
    server.data_dir.write_text("I am a file")
    server.launch()

    assert ended(server) == 1
    assert str(server.data_dir) in server.log
    assert "Traceback" not in server.log


@contract("a start that cannot succeed")
def test_a_data_directory_belongs_to_one_process(start: Callable[..., Server]) -> None:
    first, second = start().start(), start()
    second.data_dir = first.data_dir
    second.launch()

    assert ended(second) == 1
    assert str(first.data_dir) in second.log
    assert first.stop() == 0


@contract("a start that cannot succeed")
@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("--set=api.prot=9", "api.port"),
        ("--set=nonsense.key=9", "nonsense"),
        ("--set=api.port=eighty", "api.port"),
        ("--set=limits.body=-1", "limits.body"),
        ("--set=database.adapter=papyrus", "papyrus"),
        ("--roles=api,cook", "cook"),
        ("--set=api.port", "api.port"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_an_exit_with_2(
    tmp_path: Path, argument: str, named: str
) -> None:
    result = run_nexxus("serve", argument, cwd=tmp_path)

    assert result.returncode == 2, result.stderr
    assert named in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


@contract("a start that cannot succeed")
def test_a_role_that_cannot_work_with_its_adapters_is_an_exit_with_2(tmp_path: Path) -> None:
    result = run_nexxus("serve", "--roles=api", "--port", str(free_port()), cwd=tmp_path)

    assert result.returncode == 2, result.stderr
    assert "broker" in result.stderr + result.stdout


@contract("a start that cannot succeed")
def test_roles_apart_cannot_share_a_database_that_is_a_file(tmp_path: Path) -> None:
    result = run_nexxus(
        *("serve", "--roles=gateway,transport-manager"),
        *("--set=broker.adapter=rabbitmq", "--set=registry.adapter=redis"),
        cwd=tmp_path,
    )

    assert result.returncode == 2, result.stderr
    assert "sqlite" in result.stderr + result.stdout


@contract("a start that cannot succeed")
@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ('id = "shop"\nnaem = "Shop"', "naem"),
        ('name = "Shop"', "id"),
        ('id = "shop"\n[[applications]]\nid = "shop"', "twice"),
    ],
)
def test_a_declared_application_that_makes_no_sense_is_an_exit_with_2(
    tmp_path: Path, declared: str, named: str
) -> None:
    (tmp_path / "nexxus.toml").write_text(f"[[applications]]\n{declared}\n")

    for command in (("serve",), ("config", "check")):
        result = run_nexxus(*command, cwd=tmp_path)
        assert result.returncode == 2, result.stderr
        assert "nexxus.toml" in result.stderr + result.stdout
        assert named in result.stderr + result.stdout


# Configuration


@contract("where a setting comes from")
def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "nexxus.toml").write_text(
        "[api]\nport = 1001\n[gateway]\nport = 1002\n[writer]\n[limits]\nbody = 1003\n"
    )
    result = run_nexxus(
        *("config", "show", "--set", "api.port=3001"),
        cwd=tmp_path,
        NEXXUS_API__PORT="2001",
        NEXXUS_GATEWAY__PORT="2002",
    )

    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert "3001" in text
    assert "2002" in text
    assert "1003" in text
    for overruled in ("1001", "2001", "1002"):
        assert overruled not in text


@contract("where a setting comes from")
def test_secrets_are_masked(tmp_path: Path) -> None:
    result = run_nexxus("config", "show", cwd=tmp_path, NEXXUS_ADMIN__KEY="hush-hush-hush")

    assert result.returncode == 0, result.stderr
    assert "hush" not in result.stdout + result.stderr


@contract("where a setting comes from")
def test_a_good_file_passes_the_check_and_a_bad_one_is_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[api]\nport = 9000\n")
    bad.write_text("[api]\nprt = 9000\n")

    assert run_nexxus("config", "check", "--config", str(good), cwd=tmp_path).returncode == 0
    result = run_nexxus("config", "check", "--config", str(bad), cwd=tmp_path)
    assert result.returncode == 2
    for word in ("bad.toml", "api.prt", "port"):
        assert word in result.stderr + result.stdout


@contract("where a setting comes from")
def test_a_file_that_is_not_there_or_no_toml_is_an_exit_with_2(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[api\nport=")

    for name in ("nowhere.toml", "broken.toml"):
        result = run_nexxus("config", "check", "--config", name, cwd=tmp_path)
        assert result.returncode == 2
        assert name in result.stderr + result.stdout
        assert "Traceback" not in result.stderr


@contract("where a setting comes from")
def test_a_variable_without_two_underscores_is_not_ours(tmp_path: Path) -> None:
    result = run_nexxus("config", "check", cwd=tmp_path, NEXXUS_URL="http://elsewhere")

    assert result.returncode == 0, result.stderr


# Applications


@contract("applications of the configuration file and of the command line")
async def test_an_application_may_be_declared_in_the_file(start: Callable[..., Server]) -> None:
    server = start()
    (server.folder / "nexxus.toml").write_text(
        '[[applications]]\nid = "declared"\nname = "Declared"\n'
        '[applications.schema.note.fields.text]\ntype = "string"\n'
    )
    server.start()

    async with NexxusClient(server.endpoint, "declared") as client:
        await client.register_device()
        assert (await client.create("note", text="x"))["text"] == "x"
        assert server.stop() == 0
        server.start()
        assert await client.count("note") == 1


@contract("applications of the configuration file and of the command line")
def test_the_command_line_knows_its_commands(tmp_path: Path) -> None:
    for command in (["--help"], ["serve", "--help"], ["app", "--help"], ["config", "--help"]):
        result = run_nexxus(*command, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "Usage" in result.stdout
    described = run_nexxus("serve", "--help", cwd=tmp_path).stdout
    for option in ("--config", "--roles", "--host", "--port", "--gateway-port", "--data-dir"):
        assert option in described
    for option in ("--set", "--demo"):
        assert option in described


# Limits that are set


@contract("limits are configurable")
async def test_limits_may_be_set_smaller(start: Callable[..., Server]) -> None:
    server = start(
        "--set=limits.body=2000",
        "--set=limits.frame=2000",
        "--set=limits.depth=5",
        "--set=limits.filter_conditions=2",
        "--set=limits.subscriptions=2",
        "--set=limits.sign_in_attempts=1",
    ).start()
    admin = Admin(server.endpoint)
    small = open_application(schema={"note": {"text": {"type": "string", "filterable": True}}})
    app = admin.http.post("/applications", json=small).json()["data"]
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        large = await client.send("POST", "/model/note", {"text": "x" * 2000})
        assert_error(large, 413, "PayloadTooLargeException")
        wide = {"$or": [{"text": word} for word in ("a", "b")] + [{"text": {"ne": "c"}}]}
        await client.refused("POST", "/model/note/search", {"filter": wide})
        deep: Any = {"text": "a"}
        for _ in range(6):
            deep = {"$not": deep}
        await client.refused("POST", "/model/note/search", {"filter": deep})
        for word in ("a", "b"):
            await client.subscribe("note", filter={"text": word})
        await client.refused("POST", "/subscription/", {"model": "note"})
        await client.socket.send_raw(json.dumps({"event": "register", "data": "x" * 2000}))
        assert await client.socket.wait_closed() == 1009
    admin.close()


@contract("limits are configurable")
async def test_requests_may_be_limited_per_second(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=5").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)
        answers = await asyncio.gather(*(client.send("GET", "/device") for _ in range(60)))

        limited = [answer for answer in answers if answer.status_code == 429]
        assert limited
        assert_error(limited[0], 429, "TooManyRequestsException")
        assert int(limited[0].headers["retry-after"]) >= 1
        assert any(answer.status_code == 200 for answer in answers)
    admin.close()


@contract("limits are configurable")
async def test_frames_count_as_requests_of_their_device(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=5").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)
        await client.connect()
        subscribing = {"model": "note", "limit": 1}
        replies = await asyncio.gather(
            *(client.socket.request("subscribe", subscribing) for _ in range(30))
        )

        assert {reply["status"] for reply in replies} == {200, 429}
        limited = next(reply for reply in replies if reply["status"] == 429)
        assert limited["error"]["error"] == "TooManyRequestsException"
        await client.socket.send("refresh_access_token", {"token": client.token})
        error = await client.wait_for("error")
        assert error["data"]["code"] == "RATE_LIMITED"
        assert client.socket.is_open
    admin.close()


@contract("limits are configurable")
async def test_registering_is_one_request(start: Callable[..., Server]) -> None:
    server = start("--set=limits.requests_per_second=1").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await eventually_session(client)

        async def registers() -> bool:
            try:
                socket = await Connection.open(server.endpoint.ws_url)
            except InvalidStatus:  # the handshake itself is a request of this address
                return False
            await socket.send("register", {"token": client.token})
            answer = await socket.wait_for(lambda f: f["event"] in ("register", "error"))
            await socket.close()
            return bool(answer["event"] == "register")

        await eventually(registers)
    admin.close()


async def eventually_session(client: NexxusClient) -> None:
    async def registered() -> bool:
        response = await client.send("POST", "/device/register", {"name": "x"})
        if response.status_code == 200:
            client.adopt(response.json())
        return response.status_code == 200

    await eventually(registered)


@contract("applications of the configuration file and of the command line")
def test_the_version_is_told(tmp_path: Path) -> None:
    result = run_nexxus("version", cwd=tmp_path)

    assert result.returncode == 0
    assert any(character.isdigit() for character in result.stdout)


# Resume windows and slow consumers


@contract("gateway settings")
async def test_without_a_resume_window_nothing_is_kept(start: Callable[..., Server]) -> None:
    server = start("--set=gateway.resume_window=0").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        view = await client.subscribe("task", limit=100)
        await client.create("task", title="x")
        await client.converged(view)
        client.cursor = client.cursor or "none"
        await client.drop()

        async def gone() -> bool:
            return (await client.ok("GET", "/device"))["subscriptions"] == []

        await eventually(gone)
        await client.connect(resume=True)
        resync = await client.wait_for("resync")
        assert resync["data"]["channels"] == []
        await client.settled()
        await client.create("task", title="y")
        await client.converged(view)
    admin.close()


@contract("gateway settings")
async def test_the_kept_subscriptions_end_with_the_window(start: Callable[..., Server]) -> None:
    server = start("--set=gateway.resume_window=1").start()
    admin = Admin(server.endpoint)
    app = admin.create(open_application())
    async with NexxusClient(server.endpoint, app["id"]) as client:
        await (await client.register_device()).connect()
        view = await client.subscribe("task", limit=100)
        await client.drop()
        device = await client.ok("GET", "/device")
        assert device["status"] == "offline" or device["subscriptions"]

        async def gone() -> bool:
            return (await client.ok("GET", "/device"))["subscriptions"] == []

        await eventually(gone)
        await client.connect(resume=True)
        await client.settled()
        await client.create("task", title="y")
        await client.converged(view)
    admin.close()


# A configuration that changes


@contract("SIGHUP reads the configuration again, and a secret stays where it is kept")
async def test_sighup_logs_what_a_restart_would_change(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    key, file = tmp_path / "key", tmp_path / "nexxus.toml"
    key.write_text("an-admin-key-that-is-kept-in-a-file\n")
    file.write_text("[limits]\nbody = 4096\n")
    server = start(
        "--config", str(file), NEXXUS_ADMIN__KEY=f"${{file:{key}}}", NEXXUS_LOGGER__FORMAT="json"
    ).start()
    headers = {"Authorization": "Bearer an-admin-key-that-is-kept-in-a-file"}

    async def status() -> int:
        async with httpx2.AsyncClient(base_url=server.endpoint.url, headers=headers) as http:
            return (await http.get("/admin/applications")).status_code

    assert await status() == 200

    key.write_text("another-admin-key-that-is-kept-in-a-file\n")
    file.write_text("[limits]\nbody = 8192\n")
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)

    def changed() -> list[str]:
        lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return next((line["keys"] for line in lines if "keys" in line), [])

    assert await eventually(changed) == ["admin.key", "limits.body"]
    assert await status() == 200
    assert "kept-in-a-file" not in server.log
    assert await asyncio.to_thread(server.stop) == 0
