"""Any part may be killed or freeze at any moment, and all at once: what was accepted is finished, exactly once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts.sagas import SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.shop import Shop, open_shop
from tests.support.system import PARTS, System, running_system

pytestmark = pytest.mark.e2e

MIX: list[dict[str, Any]] = [
    {},
    {"payment_token": "tok_declined"},
    {"faults": [{"step": "book_shipment", "kind": "lost_reply"}]},
    {"faults": [{"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}]},
    {"faults": [{"step": "authorize_payment", "kind": "error", "times": 2}]},
    {"payment_token": "tok_expires_before_capture"},
    {"faults": [{"step": "dispatch_shipment", "kind": "lost_reply", "times": 2}]},
    {
        "faults": [
            {"step": "capture_payment", "kind": "refuse"},
            {"step": "authorize_payment", "phase": "compensation", "kind": "error", "times": 2},
        ]
    },
]
NEVER_COMPLETE = (1, 3, 5, 7)
"""Those of the mix that must be undone."""
NO_WAY_BACK = [
    {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"},
    {"step": "place_order", "phase": "compensation", "kind": "error", "times": "always"},
]
CUSTOMERS = 3


class Business:
    """Customers who order one thing after the other, whatever happens to the system."""

    def __init__(self, shop: Shop) -> None:
        self.accepted: list[tuple[int, SagaView]] = []
        self._shop = shop
        self._numbers = count()
        self._closing = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        customers = [asyncio.create_task(self._buy()) for _ in range(CUSTOMERS)]
        try:
            yield
            self._closing = True
            await asyncio.gather(*customers)
        finally:
            for customer in customers:
                customer.cancel()
                with suppress(asyncio.CancelledError):
                    await customer

    async def goes_on(self) -> None:
        """Returns when another round of orders was accepted from now on."""
        enough = len(self.accepted) + CUSTOMERS + 1
        await eventually(lambda: len(self.accepted) >= enough, within_s=30)

    async def assert_all_ended_well(self) -> None:
        """Each accepted order has exactly one saga, which ended as it may, and nothing else is there."""
        ended = await self._shop.all_ended([order for _, order in self.accepted])
        for (number, _), order in zip(self.accepted, ended, strict=True):
            must_fail = number % len(MIX) in NEVER_COMPLETE
            allowed = {SagaStatus.COMPENSATED} if must_fail else {SagaStatus.COMPENSATED, SagaStatus.COMPLETED}
            assert order.status in allowed, order
        assert {order.status for order in ended} == {SagaStatus.COMPENSATED, SagaStatus.COMPLETED}
        assert self._shop.repeats > 0, "no order met the API or Temporal while it was dead"
        await eventually(lambda: self._temporal_knows_just_these(ended), within_s=20)
        await self._shop.assert_replayable(ended)

    async def _buy(self) -> None:
        while not self._closing:
            number = next(self._numbers)
            order = await self._shop.order_for_sure(wait_s=2, **MIX[number % len(MIX)])
            self.accepted.append((number, order))

    async def _temporal_knows_just_these(self, orders: list[SagaView]) -> bool:
        sagas = sorted(saga.id for saga in await self._shop.sagas())
        assert sagas == sorted(order.saga_id for order in orders)
        return True


async def test_orders_when_each_part_is_killed_in_turn_end_exactly_once(system: System, shop: Shop) -> None:
    business = Business(shop)

    async with business.open():
        for part in PARTS:
            await business.goes_on()
            await system.restarted(part)
        await business.goes_on()

    await business.assert_all_ended_well()


async def test_orders_when_everything_is_killed_at_once_end_exactly_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        system = System(tmp_path)
        stack.callback(system.stop)
        await system.start()
        shop, operator = [await stack.enter_async_context(open_shop(system)) for _ in range(2)]
        stuck = await operator.order(faults=NO_WAY_BACK)
        await operator.until(stuck, SagaStatus.STUCK)
        business = Business(shop)

        async with business.open():
            await business.goes_on()
            system.kill_everything()
            shop.system = operator.system = await stack.enter_async_context(running_system(tmp_path))
            await business.goes_on()

        await business.assert_all_ended_well()
        await operator.until(stuck, SagaStatus.STUCK)
        decided = await operator.decide(stuck, "place_order", "retry", without_faults=True)
        assert decided.status_code == 202, decided.text
        await operator.until_clean(stuck, SagaStatus.COMPENSATED)


async def test_order_when_temporal_is_frozen_is_put_off_and_started_once_by_asking_again(shop: Shop) -> None:
    key = str(uuid4())

    with shop.system.frozen("engine"):
        refused = await shop.post_order(key=key)
    order = await shop.order(key=key, wait_s=30)

    assert (refused.status_code, refused.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")
    assert (int(refused.headers["Retry-After"]) > 0, refused.headers["Idempotency-Key"]) == (True, key)
    await shop.until_clean(order, SagaStatus.COMPLETED)
    await eventually(lambda: _has_just_one_saga(shop), within_s=20)


async def _has_just_one_saga(shop: Shop) -> bool:
    assert len(await shop.sagas()) == 1
    return True
