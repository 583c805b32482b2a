"""A worker freezes past its task's time-out, another takes over, and then the first goes on as if nothing had been."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.worker_process import WorkerProcess
from tests.support.world import COMMANDS, Placed, World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SHORT_TASK = timedelta(seconds=1)
TRIES = 12


async def _frozen_after(world: World, step: str, once: Path) -> tuple[Placed, WorkerProcess]:
    """A worker that knows of that step's end, and is frozen before it does anything with it; another is at hand."""
    env = {"FREEZE_AFTER": step, "FREEZE_ONCE": str(once)}
    queue = f"frozen-{uuid4()}"
    workers = [world.worker(queue, "freezing", env) for _ in range(2)]
    placed = await world.start(queue, task_timeout=SHORT_TASK)
    await eventually(lambda: any(worker.frozen for worker in workers), within_s=30)
    return placed, next(worker for worker in workers if worker.frozen)


async def _goes_on(placed: Placed, frozen: WorkerProcess, step: str) -> bool:
    """Thaws the worker; whether it goes on to its next step. Sometimes the SDK sees in time that it must not."""
    calls = len(placed.calls)
    frozen.thaw()
    next_command = COMMANDS[COMMANDS.index(step.replace("_", "-")) + 1]
    try:
        await eventually(lambda: next_command in placed.calls[calls:], within_s=3)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("step", ["place_order", "authorize_payment", "book_shipment"])
async def test_thawed_worker_cannot_do_what_another_has_undone(world: World, step: str, tmp_path: Path) -> None:
    for attempt in range(TRIES):
        placed, frozen = await _frozen_after(world, step, tmp_path / str(attempt))
        await placed.handle.cancel()
        await placed.ended()
        went_on = await _goes_on(placed, frozen, step)
        await placed.check_clean("compensated")
        if went_on:
            return
    pytest.fail("no thawed worker went on, so nothing has been shown")


@pytest.mark.parametrize("step", ["authorize_payment", "book_shipment", "capture_payment"])
async def test_thawed_worker_doubles_nothing_that_another_has_done(world: World, step: str, tmp_path: Path) -> None:
    for attempt in range(TRIES):
        placed, frozen = await _frozen_after(world, step, tmp_path / str(attempt))
        await placed.ended()
        went_on = await _goes_on(placed, frozen, step)
        await placed.check_clean("completed")
        if went_on:
            return
    pytest.fail("no thawed worker went on, so nothing has been shown")
