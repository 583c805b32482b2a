"""The supervisor's mechanics, on small parts that do nothing but live and die."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from run.errors import PartsFailed
from run.parts import Part, file_probe
from run.state import Condition, PartState
from run.supervisor import Limits, Supervisor
from tests.support.eventually import eventually
from tests.support.system import alive

pytestmark = pytest.mark.integration

LIVE = (
    "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\nwhile True: time.sleep(1)"
)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LIVE
CRASH = "print('out of luck', flush=True); raise SystemExit(7)"
LIVE_TWICE = """
import os, pathlib, sys, time
lives = pathlib.Path(sys.argv[1] + ".lives")
lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
if len(lives.read_text()) <= 2:
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    while True: time.sleep(1)
raise SystemExit("the third life is the shortest")
"""


def part(folder: Path, name: str, code: str = LIVE, needs: tuple[str, ...] = ()) -> Part:
    """A part that tells its health by a file."""
    ready = folder / f"{name}.ready"
    return Part(name, (sys.executable, "-S", "-c", code, str(ready)), file_probe(ready), needs=needs)


def task(name: str, code: str, needs: tuple[str, ...] = ()) -> Part:
    """A part that has one thing to do."""
    return Part(name, (sys.executable, "-S", "-c", code), None, needs=needs)


class Watched:
    """A supervisor, what it said and what it recorded."""

    def __init__(self, folder: Path, parts: Sequence[Part], limits: Limits) -> None:
        self.said: list[str] = []
        self.parts: dict[str, PartState] = {}
        self.order: list[str] = []
        self.ready = asyncio.Event()
        self.supervisor = Supervisor(parts, log_dir=folder, limits=limits, say=self.said.append, record=self._record)

    def _record(self, parts: dict[str, PartState]) -> None:
        self.order += [name for name, state in parts.items() if state.process and name not in self.order]
        self.parts = {name: state.model_copy(deep=True) for name, state in parts.items()}

    def pid(self, name: str) -> int:
        process = self.parts[name].process
        assert process is not None
        return process.pid

    def pids(self) -> list[int]:
        return [state.process.pid for state in self.parts.values() if state.process]

    def is_alive_again(self, restarts: int) -> bool:
        return self.parts["a"].restarts == restarts and self.parts["a"].condition is Condition.HEALTHY

    async def run(self) -> None:
        await self.supervisor.run(self.ready.set)


def limits(**changed: float) -> Limits:
    usual = {"start_timeout_s": 20, "stop_timeout_s": 5, "log_max_bytes": 1000, "first_pause_s": 0.01}
    return Limits(**(usual | changed))  # type: ignore[arg-type]


@asynccontextmanager
async def supervised(folder: Path, *parts: Part, **changed: float) -> AsyncIterator[Watched]:
    watched = Watched(folder, parts, limits(**changed))
    running = asyncio.create_task(watched.run())
    try:
        await eventually(lambda: watched.ready.is_set() or running.done())
        yield watched
    finally:
        watched.supervisor.stop()
        await running


async def test_parts_when_healthy_are_reported_ready(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a"), part(tmp_path, "b")) as watched:
        assert {state.condition for state in watched.parts.values()} == {Condition.HEALTHY}


async def test_part_when_it_needs_others_starts_after_they_are_healthy_or_done(tmp_path: Path) -> None:
    parts = (
        part(tmp_path, "last", needs=("once", "first")),
        task("once", "pass", needs=("first",)),
        part(tmp_path, "first"),
    )

    async with supervised(tmp_path, *parts) as watched:
        assert watched.order == ["first", "once", "last"]
        assert watched.parts["once"].condition is Condition.DONE


async def test_part_when_it_dies_later_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a"), part(tmp_path, "b")) as watched:
        first, other = watched.pid("a"), watched.pid("b")

        os.kill(first, signal.SIGKILL)
        await eventually(lambda: watched.parts["a"].restarts == 1 and watched.parts["a"].condition is Condition.HEALTHY)

        assert watched.pid("a") != first
        assert watched.pid("b") == other
        assert watched.said == ["a was ended by SIGKILL; starting it again in 0.01 s", "a is back"]


async def test_part_when_it_keeps_dying_is_said_to_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a", LIVE_TWICE), healthy_again_s=60) as watched:
        os.kill(watched.pid("a"), signal.SIGKILL)
        await eventually(lambda: watched.parts["a"].restarts == 1 and watched.parts["a"].condition is Condition.HEALTHY)
        os.kill(watched.pid("a"), signal.SIGKILL)

        await eventually(lambda: any("keeps dying" in line for line in watched.said))

        said = next(line for line in watched.said if "keeps dying" in line)
        assert said == f"a keeps dying; the end of {tmp_path / 'a.log'}:\n  | the third life is the shortest"
        pauses = [line.rsplit("in ", 1)[1] for line in watched.said if "starting it again" in line]
        assert pauses[:4] == ["0.01 s", "0.02 s", "0.04 s", "0.08 s"]


async def test_part_when_it_was_healthy_for_a_while_is_started_again_soon_however_often_it_dies(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a"), healthy_again_s=0) as watched:
        for lives in range(1, 5):
            os.kill(watched.pid("a"), signal.SIGKILL)
            await eventually(partial(watched.is_alive_again, lives))

        pauses = {line.rsplit("in ", 1)[1] for line in watched.said if "starting it again" in line}
        assert pauses == {"0.01 s"}


async def test_pause_when_deaths_are_many_stays_bounded(tmp_path: Path) -> None:
    supervisor = Supervisor([], log_dir=tmp_path, limits=limits(longest_pause_s=10), say=print, record=print)

    assert supervisor._pause_s(1) == 0.01
    assert supervisor._pause_s(100_000) == 10


async def test_start_when_a_part_cannot_live_ends_with_its_last_words(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [part(tmp_path, "good"), part(tmp_path, "bad", CRASH)], limits())

    with pytest.raises(PartsFailed, match="bad ended with exit code 7") as caught:
        await watched.run()

    assert str(caught.value).endswith("\n  | out of luck")
    assert alive(watched.pids()) == []


async def test_start_when_there_is_no_such_program_says_so(tmp_path: Path) -> None:
    nothing = Part("bad", ("/nowhere/at-all",), None)
    watched = Watched(tmp_path, [nothing], limits())

    with pytest.raises(PartsFailed, match="/nowhere/at-all"):
        await watched.run()


async def test_start_when_a_part_gets_never_healthy_is_given_up(tmp_path: Path) -> None:
    sulking = task("sulking", "import time; time.sleep(100)")
    watched = Watched(tmp_path, [part(tmp_path, "good"), sulking], limits(start_timeout_s=0.5))

    with pytest.raises(PartsFailed, match=r"sulking did not become healthy within 0\.5 s"):
        await watched.run()

    assert alive(watched.pids()) == []


async def test_stop_when_a_part_ignores_it_kills_it_after_a_while(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a", STUBBORN), stop_timeout_s=0.2) as watched:
        pids = watched.pids()

    assert alive(pids) == []


async def test_stop_when_asked_twice_kills_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, part(tmp_path, "a", STUBBORN), stop_timeout_s=100) as watched:
        pids = watched.pids()
        watched.supervisor.stop()

    assert alive(pids) == []


async def test_stop_when_parts_are_starting_ends_them(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [task("sulking", "import time; time.sleep(100)")], limits())
    running = asyncio.create_task(watched.run())
    await eventually(lambda: watched.pids())

    watched.supervisor.stop()
    await running

    assert alive(watched.pids()) == []
    assert not watched.ready.is_set()


async def test_log_when_large_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x" * 1001)
    (tmp_path / "b.log").write_text("x" * 1000)

    async with supervised(tmp_path, part(tmp_path, "a"), part(tmp_path, "b")):
        pass

    assert (tmp_path / "a.log.1").stat().st_size == 1001
    assert (tmp_path / "a.log").stat().st_size == 0
    assert (tmp_path / "b.log").stat().st_size == 1000
