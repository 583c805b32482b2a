"""The lock that lets one of several processes be at work, on both back ends."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from run.settings import ROOT
from services.kernel.consumer.active import Active
from services.kernel.database import Database
from services.kernel.sole_lock import SoleLock
from tests.support.databases import Databases, PostgresServer, databases_on
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration

HOLD = """
import asyncio, sys
from services.kernel.database import Database
lock = Database(sys.argv[1]).sole_lock()
print(asyncio.run(lock.take()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.url("views")


@pytest.fixture
def two(url: str) -> Iterator[tuple[SoleLock, SoleLock]]:
    """As two processes have it."""
    with closing(Database(url)) as one, closing(Database(url)) as another:
        yield one.sole_lock(), another.sole_lock()


async def test_lock_when_held_is_nobody_elses_until_it_is_released(two: tuple[SoleLock, SoleLock]) -> None:
    one, other = two

    assert await one.take()
    assert not await other.take()
    assert (await one.is_held(), await other.is_held()) == (True, False)
    await one.release()

    assert not await one.is_held()
    assert await other.take()
    await other.release()


async def test_lock_when_its_process_is_killed_is_free(url: str, two: tuple[SoleLock, SoleLock]) -> None:
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, url, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"True\n"
    assert not await two[0].take()

    holder.kill()
    await holder.wait()

    await eventually(two[0].take)
    await two[0].release()


@pytest.mark.postgres
async def test_lock_when_its_connection_is_lost_is_not_held(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with databases_on(tmp_path, postgres_server) as databases, closing(Database(databases.url("views"))) as database:
        one, other = database.sole_lock(), database.sole_lock()
        assert await one.take()

        with psycopg.connect(databases.url("views"), autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'")

        assert not await one.is_held()
        assert await other.take()
        await other.release()
        await one.release()


async def test_work_when_its_end_fails_then_the_lock_is_given_back_all_the_same(
    two: tuple[SoleLock, SoleLock],
) -> None:
    one, other = two

    async def nothing() -> None:
        return

    async def fail() -> None:
        raise RuntimeError("the end failed")

    active = Active("views", one, begin=nothing, work=fail, end=fail)
    running = asyncio.create_task(active.run())
    await active.looked()

    await eventually(other.take, within_s=10)

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await other.release()
