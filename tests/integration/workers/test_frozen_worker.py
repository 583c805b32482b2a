"""A worker freezes past its task's time-out, another takes over, and then the first goes on as if nothing had been."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.gate import Moment
from tests.support.worker_process import WorkerProcess
from tests.support.world import Placed, World

pytestmark = pytest.mark.integration

SHORT_TASK = timedelta(seconds=1)
"""Shorter than a fast attempt, so that the frozen one is still within its time when the task is no longer."""


async def _frozen_after(world: World, command: str) -> tuple[Placed, WorkerProcess]:
    """The reply to that call lies before a worker that is frozen, and the task's time runs out."""
    worker = world.worker(queue := f"frozen-{uuid4()}")
    placed = await world.start(queue, task_timeout=SHORT_TASK)
    hold = placed.hold(command, Moment.AFTER)
    await asyncio.wait_for(hold.arrived.wait(), timeout=30)
    worker.freeze()
    hold.released.set()
    return placed, worker


@pytest.mark.parametrize("command", ["place-order", "authorize-payment", "book-shipment"])
async def test_thawed_worker_cannot_do_what_another_has_undone(world: World, command: str) -> None:
    placed, frozen = await _frozen_after(world, command)
    await placed.handle.cancel()

    world.worker((await placed.handle.describe()).task_queue)
    await placed.ended()
    calls = len(placed.calls)
    frozen.thaw()

    await eventually(lambda: len(placed.calls) > calls, within_s=20)
    await placed.check_clean("compensated")


@pytest.mark.parametrize("command", ["authorize-payment", "book-shipment", "capture-payment"])
async def test_thawed_worker_doubles_nothing_that_another_has_done(world: World, command: str) -> None:
    placed, frozen = await _frozen_after(world, command)

    world.worker((await placed.handle.describe()).task_queue)
    await placed.ended()
    frozen.thaw()

    await placed.check_clean("completed")
