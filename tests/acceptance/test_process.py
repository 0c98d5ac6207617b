"""Contract §10: the process, its configuration, its exits, and what survives a restart."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx2
import pytest
from client import Admin, NexxusClient, replace, unique
from documents import open_application, signed_application
from ports import free_port
from server import Server, run_nexxus
from view import Ledger
from waiting import eventually

contract = partial(pytest.mark.contract, "10. The process")
sessions = partial(pytest.mark.contract, "3. Sessions, users, devices")


def ended(server: Server, patience: float = 30) -> int:
    """The exit code of a server that fails."""
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
async def test_after_a_restart_a_cursor_is_answered_with_an_empty_resync(
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


@contract("a signal drains the server, which exits with 0")
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


@contract("a signal drains the server, which exits with 0")
async def test_a_second_signal_ends_the_process_immediately(start: Callable[..., Server]) -> None:
    server = start().start()
    assert server.process is not None

    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)

    await asyncio.to_thread(ended, server, 10)


@contract("a signal drains the server, which exits with 0")
async def test_a_signal_ends_a_server_that_is_waiting_for_a_service(
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
async def test_a_missing_admin_key_is_generated_stored_and_protected(tmp_path: Path) -> None:
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


@contract("a start that fails")
def test_a_port_in_use_exits_with_1(start: Callable[..., Server]) -> None:
    server = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        server.launch()

        assert ended(server) == 1
    assert str(server.port) in server.log
    assert "Traceback" not in server.log


@contract("a start that fails")
def test_a_gateway_port_in_use_exits_with_1(start: Callable[..., Server]) -> None:
    server = start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.gateway_port))
        taken.listen()
        server.launch()

        assert ended(server) == 1
    assert str(server.gateway_port) in server.log


@contract("health on a separate port")
def test_a_node_serves_its_health_on_a_separate_port_too(start: Callable[..., Server]) -> None:
    port = free_port()
    start("--set", f"health.port={port}").start()

    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx2.get(f"http://127.0.0.1:{port}{path}").status_code == 200
    assert httpx2.post(f"http://127.0.0.1:{port}/login", json={}).status_code == 404


@contract("a start that fails")
def test_an_unusable_data_directory_exits_with_1(
    start: Callable[..., Server],
) -> None:
    server = start()
    server.data_dir.write_text("I am a file")
    server.launch()

    assert ended(server) == 1
    assert str(server.data_dir) in server.log
    assert "Traceback" not in server.log


@contract("a start that fails")
def test_a_data_directory_belongs_to_one_process(start: Callable[..., Server]) -> None:
    first, second = start().start(), start()
    second.data_dir = first.data_dir
    second.launch()

    assert ended(second) == 1
    assert str(first.data_dir) in second.log
    assert first.stop() == 0


@contract("a start that fails")
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
def test_an_invalid_configuration_exits_with_2(tmp_path: Path, argument: str, named: str) -> None:
    result = run_nexxus("serve", argument, cwd=tmp_path)

    assert result.returncode == 2, result.stderr
    assert named in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


@contract("a start that fails")
def test_a_role_that_cannot_work_with_its_adapters_exits_with_2(tmp_path: Path) -> None:
    result = run_nexxus("serve", "--roles=api", "--port", str(free_port()), cwd=tmp_path)

    assert result.returncode == 2, result.stderr
    assert "broker" in result.stderr + result.stdout


@contract("a start that fails")
@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ('id = "shop"\nnaem = "Shop"', "naem"),
        ('name = "Shop"', "id"),
        ('id = "shop"\n[[applications]]\nid = "shop"', "twice"),
        ('id = "shop"\nauth.strategies.pigeon = {}', "pigeon"),
        ('id = "shop"\nauth.strategies.google = {clientID = "x"}', "callbackURL"),
    ],
)
def test_an_invalid_declared_application_exits_with_2(
    tmp_path: Path, declared: str, named: str
) -> None:
    (tmp_path / "nexxus.toml").write_text(f"[[applications]]\n{declared}\n")

    for command in (("serve",), ("config", "check")):
        result = run_nexxus(*command, cwd=tmp_path)
        assert result.returncode == 2, result.stderr
        assert "nexxus.toml" in result.stderr + result.stdout
        assert named in result.stderr + result.stdout


# Applications


@contract("applications from the configuration file and the command line")
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


# Changes of the configuration


@contract("SIGHUP reloads the configuration, and secrets are references")
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
