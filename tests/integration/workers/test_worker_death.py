"""A worker dies at every moment of every step; what it did and nobody remembers is made good all the same.

Local activities are recorded only when their workflow task completes, so the worker that takes over may remember none
of the effects that it finds. With a cancel sent or the deadline passed meanwhile, it takes another turn than the dead
one. This is what fence and sweep are for.
"""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.gate import Moment
from tests.support.world import COMMANDS, Placed, World

pytestmark = pytest.mark.integration

PIVOT = COMMANDS.index("capture-payment")


def _legal_ends(command: str, moment: Moment) -> set[str]:
    """How an order may end whose worker died there, and whose next worker turns to unwinding at once."""
    if (command, moment) == ("capture-payment", Moment.BEFORE):
        # The call that was on its way lands before the new worker's fence, or after it.
        return {"completed", "compensated"}
    pivot_done = (COMMANDS.index(command), moment is Moment.AFTER) >= (PIVOT, True)
    return {"completed"} if pivot_done else {"compensated"}


async def _check_end(placed: Placed, legal: set[str]) -> None:
    await placed.ended()
    status = (await placed.view())["status"]
    assert status in legal
    await placed.check_clean(status)


async def _killed_at(world: World, command: str, moment: Moment, variant: str | None = None, **order: Any) -> Placed:
    """An order whose worker died with that call at the gate. The call itself goes on: it cannot be called back."""
    worker = world.worker(queue := f"death-{uuid4()}", variant)
    await world.working(queue)
    placed = await world.start(queue, **order)
    hold = placed.hold(command, moment)
    await asyncio.wait_for(hold.arrived.wait(), timeout=30)
    worker.kill()
    hold.released.set()
    return placed


async def _taken_over(world: World, placed: Placed, variant: str | None = None) -> None:
    description = await placed.handle.describe()
    world.worker(description.task_queue, variant)


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_killed_worker_is_taken_over_and_the_order_completes(world: World, command: str, moment: Moment) -> None:
    placed = await _killed_at(world, command, moment)

    await _taken_over(world, placed)

    await placed.check_clean("completed")


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_cancel_sent_while_the_worker_is_dead(world: World, command: str, moment: Moment) -> None:
    placed = await _killed_at(world, command, moment)
    await placed.handle.cancel()

    await _taken_over(world, placed)

    await _check_end(placed, _legal_ends(command, moment))


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_deadline_that_passes_while_the_worker_is_dead(world: World, command: str, moment: Moment) -> None:
    placed = await _killed_at(world, command, moment, deadline_s=4)
    started = (await placed.handle.describe()).start_time.timestamp()
    await eventually(lambda: time.time() > started + 4.2)

    await _taken_over(world, placed)

    await _check_end(placed, _legal_ends(command, moment))


async def test_without_the_sweep_a_killed_worker_leaks(world: World) -> None:
    placed = await _killed_at(world, "book-shipment", Moment.AFTER, "no_sweep")
    await placed.handle.cancel()

    await _taken_over(world, placed, "no_sweep")
    await placed.ended()

    assert (await placed.view())["status"] == "compensated"
    assert not (await placed.audit())["clean"]


async def test_without_the_fence_a_killed_worker_leaks(world: World) -> None:
    placed = await _killed_at(world, "capture-payment", Moment.AFTER, "no_fence")
    await placed.handle.cancel()

    await _taken_over(world, placed, "no_fence")

    async def shipment_is_gone_though_it_was_paid() -> bool:
        return "cancel-shipment" in placed.calls and (await placed.view())["status"] == "stuck"

    await eventually(shipment_is_gone_though_it_was_paid, within_s=30)
