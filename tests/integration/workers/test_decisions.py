"""What a decision about one step means for the others."""

from uuid import uuid4

import pytest

from tests.support.eventually import eventually
from tests.support.world import World

pytestmark = pytest.mark.integration


async def test_decision_without_faults_frees_all_stuck_steps(world: World) -> None:
    world.worker(queue := f"decisions-{uuid4()}")
    stuck = ("place_order", "authorize_payment")
    failing = {"phase": "compensation", "kind": "error", "times": "always"}
    refused = {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}
    placed = await world.start(queue, faults=[refused, *({"step": step} | failing for step in stuck)])

    async def both_are_stuck() -> bool:
        steps = (await placed.view())["steps"]
        return {step["name"] for step in steps if step["state"] == "stuck"} == set(stuck)

    await eventually(both_are_stuck, within_s=30)

    decision = {"step": "authorize_payment", "decision": "retry", "reason": "test", "without_faults": True}
    answer = await world.api.post(f"/orders/{placed.order_id}/decisions", json=decision)

    assert answer.status_code == 202, answer.text
    await placed.check_clean("compensated")
