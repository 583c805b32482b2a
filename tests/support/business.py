"""Customers who order one thing after the other, whatever happens to the system; for tests that do things to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from contracts.sagas import SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.shop import Shop

MIX: list[dict[str, Any]] = [
    {},
    {"payment_token": "tok_declined"},
    {"faults": [{"step": "book_shipment", "kind": "lost_reply"}]},
    {"faults": [{"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK", "times": "always"}]},
    {"faults": [{"step": "authorize_payment", "kind": "error", "times": 2}]},
    {"payment_token": "tok_expires_before_capture"},
    {"faults": [{"step": "dispatch_shipment", "kind": "lost_reply", "times": 2}]},
    {
        "faults": [
            {"step": "capture_payment", "kind": "refuse", "times": "always"},
            {"step": "authorize_payment", "phase": "compensation", "kind": "error", "times": 2},
        ]
    },
]
NEVER_COMPLETE = (1, 3, 5, 7)
"""Those of the mix that must be undone. One is refused always, for a refusal may be lost with its service."""
CUSTOMERS = 3
PACE_S = 0.8
"""Between two orders of a customer: some must be on their way at every moment, not as many as the machine can bear."""
LULL_AFTER = 10
"""Orders, since business was last to go on. What is started again meanwhile may take long, and there is all the more to
be done when it is there."""


class Business:
    """What they order, and what must have become of it."""

    def __init__(self, shop: Shop) -> None:
        self.accepted: list[tuple[int, SagaView]] = []
        self._shop = shop
        self._numbers = count()
        self._closing = False
        self._lull_at = LULL_AFTER

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
        self._lull_at = enough + LULL_AFTER
        await eventually(lambda: len(self.accepted) >= enough, within_s=30)

    async def assert_all_ended_well(self) -> None:
        """Each accepted order has exactly one saga, which ended as it may, and nothing else is there."""
        ended = await self._shop.all_ended([order for _, order in self.accepted])
        for (number, _), order in zip(self.accepted, ended, strict=True):
            must_fail = number % len(MIX) in NEVER_COMPLETE
            allowed = {SagaStatus.COMPENSATED} if must_fail else {SagaStatus.COMPENSATED, SagaStatus.COMPLETED}
            assert order.status in allowed, order
        assert {order.status for order in ended} == {SagaStatus.COMPENSATED, SagaStatus.COMPLETED}
        await eventually(lambda: self._temporal_knows_just_these(ended), within_s=20)
        await self._shop.assert_replayable(ended)
        await eventually(lambda: self._shop.consumers_agree(ended), within_s=30, every_s=0.2)

    async def _buy(self) -> None:
        while not self._closing:
            if len(self.accepted) >= self._lull_at:
                await asyncio.sleep(0.05)
                continue
            number = next(self._numbers)
            order = await self._shop.order(wait_s=2, **MIX[number % len(MIX)])
            self.accepted.append((number, order))
            await asyncio.sleep(PACE_S)

    async def _temporal_knows_just_these(self, orders: list[SagaView]) -> bool:
        sagas = sorted(saga.id for saga in await self._shop.sagas())
        assert sagas == sorted(order.saga_id for order in orders)
        return True
