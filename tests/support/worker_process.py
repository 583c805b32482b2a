"""A worker as a process of its own, which tests kill and freeze; its kernel may be crippled on purpose.

Run as `python -m tests.support.worker_process '<json>'`.
"""

import asyncio
import json
import signal
import subprocess
import sys
from typing import Any

from contracts.sagas import StepState
from run.worker import run_worker
from workflows.saga.orchestrator import Saga, Turn


class WorkerProcess:
    """A running worker. `settings` are the arguments of `run_worker`."""

    def __init__(self, settings: dict[str, Any], mutation: str | None = None) -> None:
        arguments = json.dumps({"settings": settings, "mutation": mutation})
        self._process = subprocess.Popen([sys.executable, "-m", "tests.support.worker_process", arguments])

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def _without_fence() -> None:
    async def fence(_: Saga, __: Turn) -> bool:
        return True

    Saga._fence = fence  # type: ignore[method-assign,assignment]


def _without_sweep() -> None:
    sweep = Saga._compensate

    async def compensate(self: Saga, step: Any, cause: Any, *, fast: bool) -> None:
        if self._progress.state_of(step.name) is not StepState.PENDING:
            await sweep(self, step, cause, fast=fast)

    Saga._compensate = compensate  # type: ignore[method-assign]


MUTATIONS = {"no_fence": _without_fence, "no_sweep": _without_sweep}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    if told["mutation"]:
        MUTATIONS[told["mutation"]]()
    asyncio.run(run_worker(**told["settings"]))
