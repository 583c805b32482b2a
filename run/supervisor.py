"""Keeps parts alive: starts each as a process of its own, waits until it is healthy, and starts it again when it dies.

Guarantees:
- Ctrl-C reaches only the supervisor: every part has its own session.
- Whatever ends the supervisor in an orderly way, no part is left running. On Linux parts are told to stop even when the
  supervisor is killed; elsewhere the next `up` finds them on record and ends them.
- A part that keeps dying is started again for ever, at growing intervals, and said to do so with the end of its log.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from run.errors import PartsFailed
from run.parts import Part
from run.settings import ROOT
from run.state import Condition, PartState, Process

_POLL_S = 0.1
_KEEPS_DYING = 5
"""Quick deaths in a row after which a part is said to keep dying."""
_HOPELESS_AT_START = 3
"""Quick deaths in a row that end a start: most likely something is set wrong."""
_TAIL_LINES = 10


@dataclass(frozen=True, slots=True)
class Limits:
    start_timeout_s: float
    stop_timeout_s: float
    log_max_bytes: int
    first_pause_s: float = 0.2
    """Before a dead part is started again; doubled at each further quick death."""
    longest_pause_s: float = 10.0
    healthy_again_s: float = 1.0
    """A part that was healthy for longer starts over with the shortest pause."""


@dataclass(slots=True)
class _Kept:
    """A part and what became of it."""

    part: Part
    state: PartState
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it was healthy, or done, for the first time."""
    popen: subprocess.Popen[bytes] | None = None
    quick_deaths: int = 0
    healthy_since: float | None = None
    """In its present life."""
    log_start: int = 0
    """Where its present life begins in its log."""

    def was_healthy(self, for_s: float) -> bool:
        return self.healthy_since is not None and time.monotonic() - self.healthy_since > for_s


class Supervisor:
    """Runs once."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        log_dir: Path,
        limits: Limits,
        say: Callable[[str], None],
        record: Callable[[dict[str, PartState]], None],
    ) -> None:
        self._kept = {
            part.name: _Kept(part, PartState(address=part.address, log=log_dir / f"{part.name}.log")) for part in parts
        }
        self._limits = limits
        self._say = say
        self._record = record
        self._up = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Asks it to end; asking twice makes it kill what does not end at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Runs until it is asked to stop, and then until all parts have ended.

        Raises:
            PartsFailed: a part did not become healthy in time, or died too often at its start.
        """
        keepers = [asyncio.create_task(self._keep(kept)) for kept in self._kept.values()]
        stopping = asyncio.create_task(self._stop.wait())
        ready = asyncio.create_task(self._until_ready())
        try:
            await _first_of([ready, stopping], keepers)
            if ready.done():
                self._up = True
                on_ready()
            await _first_of([stopping], keepers)
        finally:
            for task in (*keepers, ready, stopping):
                task.cancel()
            await asyncio.gather(*keepers, ready, stopping, return_exceptions=True)
            for kept in reversed(self._kept.values()):
                await self._end(kept)

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._limits.start_timeout_s):
                for kept in self._kept.values():
                    await kept.settled.wait()
        except TimeoutError:
            late = next(kept for kept in self._kept.values() if not kept.settled.is_set())
            raise PartsFailed(
                f"{late.part.name} did not become healthy within {self._limits.start_timeout_s:g} s{_tail(late)}"
            ) from None

    async def _keep(self, kept: _Kept) -> None:
        for name in kept.part.needs:
            await self._kept[name].settled.wait()
        while True:
            kept.healthy_since = None
            ended = await self._live(kept)
            if ended == "done":
                return
            kept.quick_deaths = 1 if kept.was_healthy(self._limits.healthy_again_s) else kept.quick_deaths + 1
            if not self._up and kept.quick_deaths >= _HOPELESS_AT_START:
                raise PartsFailed(f"{kept.part.name} {ended}{_tail(kept)}")
            pause_s = self._pause_s(kept.quick_deaths)
            self._say(f"{kept.part.name} {ended}; starting it again in {pause_s:g} s")
            if kept.quick_deaths % _KEEPS_DYING == 0:
                self._say(f"{kept.part.name} keeps dying{_tail(kept)}")
            self._note(kept, Condition.DEAD)
            await asyncio.sleep(pause_s)
            kept.state.restarts += 1

    async def _live(self, kept: _Kept) -> str:
        """One life of a part. Says how it ended."""
        try:
            popen = kept.popen = _start(kept, self._limits.log_max_bytes)
        except OSError as error:
            return f"cannot be started: {error}"
        kept.state.process = Process.of(popen.pid)
        self._note(kept, Condition.STARTING)
        probing = asyncio.create_task(self._until_healthy(kept, popen.pid))
        try:
            while popen.poll() is None:
                await asyncio.sleep(_POLL_S)
                if probing.done():
                    probing.result()
        finally:
            probing.cancel()
        if kept.part.probe is None and popen.returncode == 0:
            self._note(kept, Condition.DONE)
            kept.settled.set()
            return "done"
        return _ending(popen.returncode)

    async def _until_healthy(self, kept: _Kept, pid: int) -> None:
        if kept.part.probe is None:
            return
        while not await kept.part.probe(pid):
            await asyncio.sleep(_POLL_S)
        kept.healthy_since = time.monotonic()
        self._note(kept, Condition.HEALTHY)
        if kept.settled.is_set():
            self._say(f"{kept.part.name} is back")
        kept.settled.set()

    def _pause_s(self, quick_deaths: int) -> float:
        # The exponent is bounded, too: a part may keep dying for weeks.
        return min(self._limits.first_pause_s * 2.0 ** min(quick_deaths - 1, 30), self._limits.longest_pause_s)

    def _note(self, kept: _Kept, condition: Condition) -> None:
        kept.state.condition = condition
        self._record({name: each.state for name, each in self._kept.items()})

    async def _end(self, kept: _Kept) -> None:
        popen = kept.popen
        if popen is None or popen.poll() is not None:
            return
        popen.terminate()
        # A stopped process takes no notice until it is continued.
        popen.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + self._limits.stop_timeout_s
        while popen.poll() is None:
            if time.monotonic() > deadline or self._hurry.is_set():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
            await asyncio.sleep(_POLL_S)


async def _first_of(wanted: Sequence[asyncio.Task[object]], watched: Sequence[asyncio.Task[None]]) -> None:
    """Returns when one of the wanted tasks has ended; raises what any of them, or of the watched, raised."""
    pending = {*wanted, *watched}
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if not done.isdisjoint(wanted):
            return


def _start(kept: _Kept, log_max_bytes: int) -> subprocess.Popen[bytes]:
    part, log = kept.part, kept.state.log
    if log.exists() and log.stat().st_size > log_max_bytes:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        kept.log_start = output.tell()
        return subprocess.Popen(  # noqa: S603 - our own parts
            leashed(part.command),
            cwd=ROOT,
            env={**os.environ, **part.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def leashed(command: tuple[str, ...]) -> tuple[str, ...]:
    if sys.platform != "linux":
        return command
    return (sys.executable, "-I", "-S", str(ROOT / "run" / "leash.py"), str(os.getpid()), *command)


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"


def _tail(kept: _Kept) -> str:
    """The end of what the part logged in its last life, to be shown below a message."""
    log = kept.state.log
    try:
        with log.open("rb") as written:
            written.seek(kept.log_start)
            lines = written.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        return ""
    return "".join((f"; the end of {log}:", *(f"\n  | {line}" for line in lines))) if lines else ""
