"""Referenced files are watched, because mounted secrets are replaced at run time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from waiting import eventually

from nexxus.adapters.file.config_provider import FileProvider


async def test_a_file_that_is_created_replaced_or_removed_is_detected(tmp_path: Path):
    secret = tmp_path / "secret"
    changes = FileProvider(interval=0.01).watch([str(secret)])
    noticed = asyncio.ensure_future(anext(changes))

    def make_and_remove() -> bool:  # until it has looked for the first time
        secret.unlink() if secret.exists() else secret.write_text("one")
        return noticed.done()

    await eventually(make_and_remove)
    secret.write_text("one")
    async with asyncio.timeout(20):
        await anext(changes)
        (tmp_path / "new").write_text("two")
        (tmp_path / "new").rename(secret)
        await anext(changes)
        secret.unlink()
        await anext(changes)
    await changes.aclose()
