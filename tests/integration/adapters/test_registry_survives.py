"""What the in-process registry promised is still there after ``kill -9``."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.interfaces.registry import Device
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import applied, session_of

PATIENCE = 30.0

VICTIM = """
import asyncio, sys
from pathlib import Path

import msgspec

from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.interfaces.registry import Device
from nexxus.testing.journal import Journal
from nexxus.testing.registry_kit import applied, session_of

async def main():
    settings, folder = InProcessRegistrySettings(), Path(sys.argv[1])
    registry = InProcessRegistry(settings, data_dir=folder, logger=Journal())
    await registry.open()
    number = 0
    while True:
        device = f"d{number}"
        session = session_of("kit", device)
        await registry.devices.put(Device(device, "kit", "phone", "u1"))
        await registry.sessions.put(session)
        rotated = msgspec.structs.replace(session, generation=1)
        assert await registry.sessions.rotate(rotated, expected_generation=0)
        await registry.sessions.put(session_of("kit", f"ended-{number}"))
        await registry.sessions.end("kit", f"session-ended-{number}")
        assert await registry.claims.claim("kit", "scope", str(number), b"first", 3600) is None
        await registry.fates.put([applied("kit", f"o{number}")])
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


@asynccontextmanager
async def reopened(data_dir: Path) -> AsyncIterator[InProcessRegistry]:
    registry = InProcessRegistry(InProcessRegistrySettings(), data_dir=data_dir, logger=Journal())
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def promised_before_the_kill(data_dir: Path, rounds: int) -> int:
    """Let a process write, kill it in the middle; the number of the last round it reported."""
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert victim.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            last = -1
            while last < rounds:
                line = await victim.stdout.readline()
                assert line, "the process ended by itself"
                last = int(line)
    finally:
        if victim.returncode is None:
            victim.kill()
    rest = (await victim.stdout.read()).decode()
    assert await victim.wait() == -signal.SIGKILL
    complete = rest.splitlines()[: rest.count("\n")]
    return int(complete[-1]) if complete else last


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 on Windows")
async def test_what_returned_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    last = await promised_before_the_kill(tmp_path, rounds=30)
    async with reopened(tmp_path) as registry:
        for number in range(last + 1):
            device_id = f"d{number}"
            device = Device(device_id, "kit", "phone", "u1")
            assert await registry.devices.get("kit", device_id) == device
            session = await registry.sessions.get("kit", session_of("kit", device_id).id)
            assert session is not None
            assert session.generation == 1
            assert await registry.sessions.get("kit", f"session-ended-{number}") is None
            assert await registry.claims.claim("kit", "scope", str(number), b"late", 60) == b"first"
            assert await registry.fates.get("kit", f"o{number}") == applied("kit", f"o{number}")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 on Windows")
async def test_after_a_kill_the_registry_opens_and_writes_again(tmp_path: Path) -> None:
    await promised_before_the_kill(tmp_path, rounds=3)
    async with reopened(tmp_path) as registry:
        assert await registry.claims.claim("kit", "scope", "new", b"value", 60) is None
        assert await registry.presence.get("kit", "d0") is None
        assert await registry.subscriptions.of_device("kit", "d0") == []
