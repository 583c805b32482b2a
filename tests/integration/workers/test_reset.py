"""A saga that is reset does everything again, on the real services, and changes nothing."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.reset import reset_to_first_task
from tests.support.world import Placed, World
from workflows.order_saga import OrderSaga

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("after_deadline", [True, False])
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        pytest.param({}, "completed", id="completed"),
        pytest.param({"payment_token": "tok_declined"}, "compensated", id="declined"),
        pytest.param({"payment_token": "tok_expires_before_capture"}, "compensated", id="expired"),
        pytest.param(
            {"faults": [{"step": "book_shipment", "kind": "lost_reply", "times": "always"}]}, "compensated", id="failed"
        ),
    ],
)
async def test_reset_to_the_first_task_changes_no_outcome(
    world: World, changes: dict[str, Any], outcome: str, after_deadline: bool
) -> None:
    world.worker(queue := f"reset-{uuid4()}")
    await world.working(queue)
    deadline_s = 5.0 if after_deadline else 120.0
    placed = await world.start(queue, deadline_s=deadline_s, **changes)
    await placed.check_clean(outcome)
    if after_deadline:
        started = (await placed.handle.describe()).start_time.timestamp()
        await eventually(lambda: time.time() > started + deadline_s + 0.1)

    run_id = await reset_to_first_task(world.client, placed.handle)

    handle = world.client.get_workflow_handle_for(OrderSaga.run, placed.handle.id, run_id=run_id)
    await Placed(world, placed.order_id, handle).check_clean(outcome)
