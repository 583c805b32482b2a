"""A worker as a process of its own, which tests kill and freeze; one may freeze itself on purpose."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from typing import Any

import psutil
from temporalio.worker import Worker

import run.worker
from tests.support.forking import PROCESSES
from workflows.saga.attempts import Attempts


class WorkerProcess:
    """A running worker. `settings` are the arguments of `run_worker`."""

    def __init__(self, settings: dict[str, Any], variant: str | None = None, env: dict[str, str] | None = None) -> None:
        self._process = PROCESSES.Process(target=_work, args=(settings, variant, env or {}), daemon=True)
        self._process.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    @property
    def frozen(self) -> bool:
        return psutil.Process(self._pid).status() == psutil.STATUS_STOPPED

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


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


VARIANTS = {"freezing": _freezing}


def _work(settings: dict[str, Any], variant: str | None, env: dict[str, str]) -> None:
    os.environ.update(env)
    if variant:
        VARIANTS[variant]()
    asyncio.run(run.worker.run_worker(**settings))
