"""A worker dies at every moment of every step; what it did and nobody remembers is made good all the same.

Local activities are recorded only when their workflow task completes, so the worker that takes over may remember none
of the effects that it finds. With a cancel sent or the deadline passed meanwhile, it takes another turn than the dead
one. This is what fence and sweep are for.
"""

import asyncio
import time
from enum import StrEnum
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.gate import Moment
from tests.support.world import COMMANDS, Placed, World

# One process of the tests runs all of them, because they share what has happened.
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("worker death")]

PIVOT = COMMANDS.index("capture-payment")
DEADLINE_S = 4.0


class Meanwhile(StrEnum):
    """What happens to an order while its worker is dead."""

    NOTHING = "nothing"
    CANCEL = "a cancel is sent"
    DEADLINE = "its deadline passes"


Orders = dict[tuple[str, Moment, Meanwhile], Placed]


@pytest.fixture(scope="module")
async def orders(world: World) -> Orders:
    """An order for every command, moment and meanwhile, each taken over by another worker than the one that died.

    A worker dies with all calls of one command at the gate.
    """
    queues = {command: f"death-{command}-{uuid4()}" for command in COMMANDS}
    workers = {command: world.worker(queue) for command, queue in queues.items()}
    orders: Orders = {}

    async def place(command: str, moment: Moment, meanwhile: Meanwhile) -> None:
        deadline_s = DEADLINE_S if meanwhile is Meanwhile.DEADLINE else 120
        placed = orders[command, moment, meanwhile] = await world.start(queues[command], deadline_s=deadline_s)
        await asyncio.wait_for(placed.hold(command, moment).arrived.wait(), timeout=30)

    for command, queue in queues.items():
        await world.working(queue)
        await asyncio.gather(*(place(command, moment, meanwhile) for moment in Moment for meanwhile in Meanwhile))
        workers[command].kill()
        # The calls themselves go on: they cannot be called back.
        for moment in Moment:
            for meanwhile in Meanwhile:
                orders[command, moment, meanwhile].hold(command, moment).released.set()
            await orders[command, moment, Meanwhile.CANCEL].handle.cancel()
    last_placed = time.monotonic()
    await eventually(lambda: time.monotonic() > last_placed + DEADLINE_S + 0.2)
    for command, queue in queues.items():
        world.worker(queue)
        # One worker after the other, or their calls would keep one another waiting until attempts time out.
        theirs = [placed for (of, _, _), placed in orders.items() if of == command]
        await asyncio.gather(*(placed.ended() for placed in theirs), return_exceptions=True)  # tests look at each
    return orders


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


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_killed_worker_is_taken_over_and_the_order_completes(
    orders: Orders, command: str, moment: Moment
) -> None:
    await orders[command, moment, Meanwhile.NOTHING].check_clean("completed")


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_cancel_sent_while_the_worker_is_dead(orders: Orders, command: str, moment: Moment) -> None:
    await _check_end(orders[command, moment, Meanwhile.CANCEL], _legal_ends(command, moment))


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("command", COMMANDS)
async def test_deadline_that_passes_while_the_worker_is_dead(orders: Orders, command: str, moment: Moment) -> None:
    await _check_end(orders[command, moment, Meanwhile.DEADLINE], _legal_ends(command, moment))
