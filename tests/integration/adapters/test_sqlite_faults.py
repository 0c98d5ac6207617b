"""The embedded database when things go wrong: nothing accepted is lost, and it says why."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.domain.filters import Compare, Op
from nexxus.domain.objects import ObjectKey
from nexxus.domain.schema import compile_model
from nexxus.errors import ModelNotFound, ServiceUnavailable, StartupError
from nexxus.interfaces.database import Mutation, Query, Record
from nexxus.testing.database_kit.materials import TASK, ids, key_of, store, task

APP = "app"
NOBODY = 65534


@asynccontextmanager
async def database_in(folder: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(SqliteSettings(), data_dir=folder)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let this process's writes fail behind `size`, as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fails_to_open(folder: Path, path: str = "") -> str:
    database = SqliteDatabase(SqliteSettings(path=path), data_dir=folder)
    with pytest.raises(StartupError) as failure:
        await database.open()
    with pytest.raises(ServiceUnavailable):
        await database.ping()
    await database.close()
    return str(failure.value)


# Starting


async def test_a_data_directory_below_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = await fails_to_open(tmp_path / "file" / "data")
    assert str(tmp_path / "file" / "data") in message
    assert "choose another data directory" in message


async def test_a_path_that_is_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert str(tmp_path / "folder") in await fails_to_open(tmp_path, "folder")


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    garbage = b"this is no database" * 1000
    (tmp_path / "nexxus.sqlite3").write_bytes(garbage)
    assert "damaged or no SQLite file" in await fails_to_open(tmp_path)
    assert (tmp_path / "nexxus.sqlite3").read_bytes() == garbage


async def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        await database.prepare(APP, [TASK])
        await store(database, *(task(APP, f"t{n}", notes="x" * 1000) for n in range(200)))
    file = tmp_path / "nexxus.sqlite3"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    assert "damaged" in await fails_to_open(tmp_path)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written_is_refused_with_the_mend(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(_make_empty(folder))
        for path in (folder, *folder.iterdir()):
            path.chmod(0o777)
        (folder if what == "folder" else folder / "nexxus.sqlite3").chmod(0o555)
        if what == "folder":
            (folder / "nexxus.sqlite3.lock").unlink()
        result = _python(
            f"""
            import concurrent.futures.thread  # asyncio's own, while this user may still read it
            if os.geteuid() == 0:
                os.setuid({NOBODY})
            try:
                asyncio.run(database_in({name!r}).open())
            except StartupError as error:
                print(error)
            """
        ).communicate(timeout=30)[0]
        folder.chmod(0o777)
    assert "writable for this user" in result


async def _make_empty(folder: Path) -> None:
    async with database_in(folder):
        pass


async def test_a_second_process_on_the_file_is_refused(tmp_path: Path) -> None:
    async with database_in(tmp_path):
        process = _python(
            f"""
            try:
                asyncio.run(database_in({str(tmp_path)!r}).open())
            except StartupError as error:
                print(error)
            """
        )
        result, _ = await asyncio.to_thread(process.communicate, timeout=30)
    assert "in use by another process" in result


# Running


async def test_on_a_full_disk_writes_are_refused_reads_go_on_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    async with database_in(tmp_path) as database:
        await database.prepare(APP, [TASK])
        await store(database, task(APP, "before", title="there"))
        accepted = {"before"}
        refused = 0

        async def write(n: int) -> None:
            nonlocal refused
            try:
                await store(database, task(APP, f"t{n}", notes="x" * 2_000))
                accepted.add(f"t{n}")
            except ServiceUnavailable:
                refused += 1

        with files_no_larger_than((tmp_path / "nexxus.sqlite3-wal").stat().st_size + 200_000):
            n = 0
            while refused < 5:
                await asyncio.gather(*(write(n + more) for more in range(10)))
                n += 10
            await database.ping()
            assert await ids(database, APP) == accepted
        # There is room again: no restart is needed.
        await store(database, task(APP, "after"))
        assert await ids(database, APP) == {*accepted, "after"}
    async with database_in(tmp_path) as database:
        assert await ids(database, APP) == {*accepted, "after"}


async def test_a_write_for_an_unknown_model_is_refused_and_others_go_through(
    tmp_path: Path,
) -> None:
    async with database_in(tmp_path) as database:
        await database.prepare(APP, [TASK])
        document = task("nobody", "a")
        with pytest.raises(ModelNotFound):
            await database.commit([Mutation(key_of(document), None, Record(document, 1))])
        await store(database, task(APP, "a"))


async def test_writes_that_meet_a_drop_find_the_model_gone(tmp_path: Path) -> None:
    async with database_in(tmp_path) as database:
        await database.prepare(APP, [TASK])
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(store(database, task(APP, f"t{n}")))
            await asyncio.sleep(0)  # lets each of them begin
            group.create_task(database.drop(APP))
            group.create_task(database.search(Query(APP, TASK)))
        with pytest.raises(ModelNotFound):
            await store(database, task(APP, "late"))
        assert await ids(database, APP) == set()


async def test_a_preparation_that_was_interrupted_is_mended_by_the_next(tmp_path: Path) -> None:
    plain = compile_model("task", {"notes": {"type": "string"}})
    async with database_in(tmp_path) as database:
        await database.prepare(APP, [plain])
        await store(database, *(task(APP, f"t{n}", title="old", tags=["x"]) for n in range(2_000)))
        preparing = asyncio.create_task(database.prepare(APP, [TASK]))
        await asyncio.sleep(0)  # lets it begin
        await store(database, task(APP, "between", title="old"))  # waits for its first step
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        await store(database, task(APP, "later", title="old"))
        with pytest.raises(ServiceUnavailable):
            await database.count(APP, TASK, Compare("title", Op.EQ, "old"))
    async with database_in(tmp_path) as database:
        await store(database, task(APP, "last", title="old"))
        await database.prepare(APP, [TASK])
        assert await database.count(APP, TASK, Compare("title", Op.EQ, "old")) == 2_003
        assert await database.count(APP, TASK, Compare("tags", Op.CONTAINS, "x")) == 2_000


# Dying


async def test_what_was_committed_survives_a_kill_in_mid_load(tmp_path: Path) -> None:
    process = _python(
        f"""
        async def write(database, writer):
            key = ObjectKey("app", "task", f"w{{writer}}")
            (former,) = await database.load([key])
            while True:
                version = 1 if former is None else former.version + 1
                record = Record(task("app", key.id, version, tags=[str(version)]), version)
                assert await database.commit([Mutation(key, former, record)]) == [True]
                print(key.id, version, flush=True)
                former = record

        async def main():
            database = database_in({str(tmp_path)!r})
            await database.open()
            await database.prepare("app", [TASK])
            await asyncio.gather(*(write(database, n) for n in range(20)))

        asyncio.run(main())
        """
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == 2_000:
            process.send_signal(signal.SIGKILL)
            break
    lines += process.stdout.readlines()
    process.wait(timeout=30)
    promised: dict[str, int] = {}
    for line in lines:
        if line.endswith("\n"):
            name, version = line.split()
            promised[name] = int(version)
    async with database_in(tmp_path) as database:
        for name, version in promised.items():
            (record,) = await database.load([ObjectKey(APP, "task", name)])
            assert record is not None
            assert record.version >= version
            assert record.document["tags"] == [str(record.version)]
            now = Compare("tags", Op.CONTAINS, str(record.version))
            assert name in await ids(database, APP, now)
            before = Compare("tags", Op.CONTAINS, str(record.version - 1))
            assert name not in await ids(database, APP, before)


@pytest.mark.parametrize("after", [1, 3, 6])
async def test_a_batch_is_there_whole_or_not_at_all_after_a_kill(
    tmp_path: Path, after: int
) -> None:
    assert SqliteDatabase.is_atomic
    process = _python(
        f"""
        async def main():
            database = database_in({str(tmp_path)!r})
            await database.open()
            await database.prepare("app", [TASK, NOTE])
            keys = [ObjectKey("app", ("task", "note")[n % 2], f"t{{n}}") for n in range(1_000)]
            former = [None] * len(keys)
            for version in range(1, 10_000):
                records = [
                    Record({{**task("app", key.id, version, title="x" * 2_000), "type": key.type}},
                           version) for key in keys]
                mutations = [Mutation(*each) for each in zip(keys, former, records)]
                assert all(await database.commit(mutations))
                former = records
                print(version, flush=True)

        asyncio.run(main())
        """
    )
    assert process.stdout is not None
    committed = 0
    for line in process.stdout:
        committed = int(line)
        if committed == after:
            # The next batch is on its way: encoded, stored, or made durable.
            await asyncio.sleep(random.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            break
    rest = process.stdout.read().split()
    process.wait(timeout=30)
    promised = int(rest[-1]) if rest else committed
    async with database_in(tmp_path) as database:
        names = [("task", "note")[n % 2] for n in range(1_000)]
        records = await database.load(
            [ObjectKey(APP, name, f"t{n}") for n, name in enumerate(names)]
        )
        versions = {None if record is None else record.version for record in records}
    assert len(versions) == 1
    assert versions <= {promised, promised + 1}


def _python(script: str) -> "subprocess.Popen[str]":
    """Run a script with the usual names at hand; what it prints can be read."""
    lines = script.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    body = "\n".join(line[indent:] for line in lines)
    prelude = """
import asyncio, os
from pathlib import Path
from nexxus.adapters.sqlite.database import SqliteDatabase
from nexxus.adapters.sqlite.settings import SqliteSettings
from nexxus.domain.objects import ObjectKey
from nexxus.errors import StartupError
from nexxus.interfaces.database import Mutation, Record
from nexxus.testing.database_kit.materials import NOTE, TASK, task

def database_in(folder):
    return SqliteDatabase(SqliteSettings(), data_dir=Path(folder))
"""
    return subprocess.Popen(
        [sys.executable, "-c", prelude + body],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ,
    )
