"""The whole real system, started as a user starts it, for tests that drive it from outside."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from run.__main__ import main
from run.settings import PREFIX, ROOT, Settings
from run.state import Condition, PartState, State, Urls, read_state
from run.supervisor import leashed
from tests.support.eventually import eventually
from tests.support.forking import PROCESSES

PARTS = ("engine", "order", "payment", "shipping", "views", "notifications", "listener", "api", "worker")
NO_CONSUMERS = {"VIEWS_URL": "http://127.0.0.1:9", "NOTIFICATIONS_URL": "http://127.0.0.1:9"}
"""Settings for a test that looks at none of them: they are somebody else's, so two processes less are started."""
_PORTS = (
    "ENGINE ENGINE_UI ENGINE_HTTP ENGINE_METRICS ORDER PAYMENT SHIPPING VIEWS NOTIFICATIONS RELAY LISTENER API".split()
)
_PATIENT = {
    # Tests share a busy machine: what must come soon comes soon, and nothing times out that is only slow.
    "POLICY__RETRY_INITIAL_S": "0.1",
    "POLICY__RETRY_MAX_S": "0.5",
    "POLICY__ATTEMPT_TIMEOUT_S": "2",
    "POLICY__STUCK_AFTER": "3",
    "CARRIER_DELAY_S": "0.2",
    "FAULT_INJECTION": "true",
    # Who kills or freezes it wants nobody to take its place.
    "WORKERS": "1",
}
START_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


def environment(data_dir: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment with all ports free ones, and nothing of the developer's own settings."""
    ours = {**{f"{name}_PORT": "0" for name in _PORTS}, "DATA_DIR": str(data_dir), "ENV_FILE": "", **_PATIENT}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | {PREFIX + name: value for name, value in (ours | dict(settings or {})).items()}


def run_verb(*verb: str, data_dir: Path, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One verb of the command line, to its end. What it says is no terminal's."""
    with TemporaryDirectory() as folder:
        output = Path(folder, "stdout"), Path(folder, "stderr")
        process = PROCESSES.Process(target=_run_verb, args=(verb, environment(data_dir, settings), *output))
        process.start()
        process.join(START_WITHIN_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        stdout, stderr = (file.read_text() for file in output)
    assert process.exitcode is not None
    assert process.exitcode >= 0, f"not within {START_WITHIN_S:g} s, or killed: {verb}\n{stdout}\n{stderr}"
    return subprocess.CompletedProcess(verb, process.exitcode, stdout, stderr)


def _run_verb(verb: tuple[str, ...], variables: dict[str, str], stdout: Path, stderr: Path) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(ROOT)
    for number, file in (sys.stdout.fileno(), stdout), (sys.stderr.fileno(), stderr):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    exit_code = main(list(verb))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


class System:
    """`python -m run up`, on free ports and a data folder of its own.

    Args:
        settings: more settings, named as in the environment but without `AMENDS_`.
        root: the folder of the code.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None, root: Path = ROOT) -> None:
        self.data_dir = data_dir
        self._root = root
        self.settings = dict(settings or {})
        theirs = {name.removesuffix("_URL").lower() for name in self.settings if name.endswith("_URL")}
        theirs |= {"engine"} if "TEMPORAL_ADDRESS" in self.settings else set()
        ours = [part for part in PARTS if part not in theirs]
        self.parts = (*ours, *(["relay"] if self.settings.get("EVENT_TRANSPORT") == "rabbitmq" else []))
        self._record = Settings(data_dir=data_dir)
        self._output_file = data_dir / "up.out"
        self._up: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns once every part is healthy."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._output_file.open("ab") as output:
            up = self._up = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                leashed((sys.executable, "-m", "run", "up")),  # a test run that is killed leaves none behind
                cwd=self._root,
                env=environment(self.data_dir, self.settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

        def is_ready() -> bool:
            assert up.poll() is None, self.output
            state = read_state(self._record)
            return state is not None and state.supervisor.pid == up.pid and state.ready

        await eventually(is_ready, within_s=START_WITHIN_S, every_s=0.1)

    @property
    def output(self) -> str:
        """What `up` has said so far."""
        return self._output_file.read_text()

    @property
    def supervisor_pid(self) -> int:
        assert self._up is not None
        return self._up.pid

    @property
    def state(self) -> State:
        state = read_state(self._record)
        assert state is not None, "nothing runs"
        return state

    @property
    def urls(self) -> Urls:
        return self.state.urls

    def pid(self, part: str) -> int:
        process = self.state.parts[part].process
        assert process is not None
        return process.pid

    def pids(self) -> list[int]:
        return [self.pid(part) for part in self.parts]

    def kill(self, part: str) -> None:
        """As the system's out-of-memory killer would."""
        os.kill(self.pid(part), signal.SIGKILL)

    def pause(self, part: str) -> None:
        """Freezes it: its connections stay open and nothing answers."""
        os.kill(self.pid(part), signal.SIGSTOP)

    def resume(self, part: str) -> None:
        os.kill(self.pid(part), signal.SIGCONT)

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """Freezes the part as long as the context lasts."""
        self.pause(part)
        try:
            yield
        finally:
            self.resume(part)

    async def healthy(self, part: str, *, restarts: int = 0) -> PartState:
        """Waits until the part is healthy after at least so many restarts."""

        def is_healthy() -> bool:
            state = self.state.parts[part]
            return state.condition is Condition.HEALTHY and state.restarts >= restarts

        await eventually(is_healthy, within_s=START_WITHIN_S)
        return self.state.parts[part]

    async def restarted(self, part: str) -> None:
        """Kills the part, and waits until another process is healthy at the same address."""
        before = self.state.parts[part].model_copy(deep=True)
        self.kill(part)
        after = await self.healthy(part, restarts=before.restarts + 1)
        assert after.process != before.process
        assert after.address == before.address
        assert f"{part} was ended by SIGKILL; starting it again" in self.output

    async def restart(self, *parts: str) -> None:
        """Kills the parts, all at once, and waits until they are healthy again."""
        await asyncio.gather(*(self.restarted(part) for part in parts))

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Stops it as Ctrl-C or a process supervisor does. Returns the exit code."""
        assert self._up is not None
        if self._up.poll() is None:
            self._up.send_signal(signum)
        return self._up.wait(STOP_WITHIN_S)

    def abandon(self) -> None:
        """Kills the supervisor alone."""
        assert self._up is not None
        self._up.kill()
        self._up.wait()

    def kill_everything(self) -> None:
        """As a power cut would: nobody can do anything about anybody's end."""
        assert self._up is not None
        pids = self.pids()
        self._up.send_signal(signal.SIGSTOP)
        for pid in (*pids, self._up.pid):
            os.kill(pid, signal.SIGKILL)
        self._up.wait()


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that still run."""
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


async def gone(pids: list[int], *, within_s: float = 20) -> None:
    await eventually(lambda: not alive(pids), within_s=within_s)


@asynccontextmanager
async def running_system(
    data_dir: Path, settings: Mapping[str, str] | None = None, root: Path = ROOT
) -> AsyncIterator[System]:
    """A system that runs as long as the context, or until it is stopped otherwise. Afterwards nothing of it does."""
    system = System(data_dir, settings, root)
    try:
        await system.start()
        yield system
    finally:
        state = read_state(Settings(data_dir=data_dir))
        began = time.monotonic()
        # What it needs to end in order, such as a gate before a database, may run in this loop.
        code = await asyncio.to_thread(system.stop)
        assert code == 0, f"exit code {code} after {time.monotonic() - began:.1f} s\n{system.output}"
        parts = state.parts if state else {}
        assert [name for name, part in parts.items() if part.process and part.process.find()] == []
