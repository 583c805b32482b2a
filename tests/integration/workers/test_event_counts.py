"""How many history events a saga costs: a promise of design and docs, and the price of every change to the kernel."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.world import COMMANDS, World

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("changes", "status", "events", "calls"),
    [
        pytest.param({}, "completed", 12, 6, id="healthy"),
        pytest.param({"payment_token": "tok_declined"}, "compensated", 16, 4, id="declined"),
        pytest.param(
            {"faults": [{"step": "book_shipment", "kind": "error", "times": "always"}]},
            "compensated",
            25,
            9,
            id="failing",
        ),
    ],
)
async def test_history_has_as_many_events_as_promised(
    world: World, changes: dict[str, Any], status: str, events: int, calls: int
) -> None:
    world.worker(queue := f"count-{uuid4()}")

    async def is_as_promised() -> bool:
        placed = await world.start(queue, **changes)
        await placed.ended()
        history = await placed.handle.fetch_history()
        assert (await placed.view())["status"] == status
        assert (len(history.events), len(placed.calls)) == (events, calls), [e.event_type for e in history.events]
        return True

    # The promise is for a saga that nothing disturbs. A moment in which the machine stands still adds a workflow task.
    await eventually(is_as_promised, within_s=20)


async def test_healthy_order_calls_each_service_once_per_step(world: World) -> None:
    world.worker(queue := f"count-{uuid4()}")

    placed = await world.start(queue)
    await placed.ended()

    assert placed.calls == COMMANDS
