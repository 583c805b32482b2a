"""All parts may be killed at once, and Temporal may freeze: what was accepted is finished, exactly once."""

from uuid import uuid4

import pytest

from contracts.sagas import SagaStatus
from tests.support.business import Business
from tests.support.eventually import eventually
from tests.support.shop import Shop, open_shop
from tests.support.system import System

# Each part takes seconds to come back on a busy machine, and all orders are looked at in the end.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

NO_WAY_BACK = [
    {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"},
    {"step": "place_order", "phase": "compensation", "kind": "error", "times": "always"},
]


async def test_orders_when_everything_is_killed_at_once_end_exactly_once(system: System, shop: Shop) -> None:
    async with open_shop(system) as operator:
        stuck = await operator.order(faults=NO_WAY_BACK)
        await operator.until(stuck, SagaStatus.STUCK)
        business = Business(shop)

        async with business.open():
            await business.goes_on()
            system.kill_everything()
            await system.start()
            await business.goes_on()

        await business.assert_all_ended_well()
        assert shop.repeats > 0, "no order met the API or Temporal while it was dead"
        await operator.until(stuck, SagaStatus.STUCK)
        decided = await operator.decide(stuck, "place_order", "retry", without_faults=True)
        assert decided.status_code == 202, decided.text
        await operator.until_clean(stuck, SagaStatus.COMPENSATED)


async def test_order_when_temporal_is_frozen_is_put_off_and_started_once_by_asking_again(
    system: System, shop: Shop
) -> None:
    key = str(uuid4())

    with system.frozen("engine"):
        refused = await shop.post_order(key=key)
    order = await shop.order(key=key, wait_s=30)

    assert (refused.status_code, refused.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")
    assert (int(refused.headers["Retry-After"]) > 0, refused.headers["Idempotency-Key"]) == (True, key)
    await shop.until_clean(order, SagaStatus.COMPLETED)
    await eventually(lambda: _has_just_one_saga(shop), within_s=20)


async def _has_just_one_saga(shop: Shop) -> bool:
    assert len(await shop.sagas()) == 1
    return True
