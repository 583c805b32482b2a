"""A worker as a process of its own, which tests kill and freeze; it may be crippled on purpose.

Run as `python -m tests.support.worker_process '<json>'`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import psutil
from temporalio.worker import Worker

import run.worker
from contracts.sagas import StepState
from workflows.saga.attempts import Attempts
from workflows.saga.orchestrator import Saga, Turn


class WorkerProcess:
    """A running worker. `settings` are the arguments of `run_worker`."""

    def __init__(self, settings: dict[str, Any], variant: str | None = None, env: dict[str, str] | None = None) -> None:
        arguments = json.dumps({"settings": settings, "variant": variant})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.worker_process", arguments], env=os.environ | (env or {})
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    @property
    def frozen(self) -> bool:
        return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

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


def _freezing() -> None:
    """The first worker that learns of a step's end, and can create the file, freezes with that knowledge in its hands.

    It keeps few polls open, because a frozen process is still handed the tasks that it has polled for. The SDK's
    deadlock detector is off, or it would take the sleep for a deadlock and stop the worker for us.
    """
    command, once = os.environ["FREEZE_AFTER"], os.environ["FREEZE_ONCE"]
    vars(run.worker)["Worker"] = partial(
        Worker, max_concurrent_workflow_tasks=2, max_concurrent_workflow_task_polls=2, debug_mode=True
    )
    fast = Attempts.fast

    async def freeze(self: Attempts, within: Any = None) -> Any:
        settled = await fast(self, within)
        if self._operation.name == command:
            with suppress(FileExistsError):
                os.close(os.open(once, os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGSTOP)
        return settled

    Attempts.fast = freeze  # type: ignore[method-assign]


VARIANTS = {"freezing": _freezing, "no_fence": _without_fence, "no_sweep": _without_sweep}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    if told["variant"]:
        VARIANTS[told["variant"]]()
    asyncio.run(run.worker.run_worker(**told["settings"]))
