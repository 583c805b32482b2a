"""What an operator finds in Temporal, by the search attributes of sagas."""

from functools import partial

import pytest

from contracts.sagas import SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.shop import Shop

pytestmark = pytest.mark.e2e

TURNED = 'SagaStatus="compensated" AND SagaCause="refused" AND FailedStep="{step}" AND FailureCode="{code}"'


async def is_found(shop: Shop, order: SagaView, query: str) -> bool:
    """Whether the query finds the order, and only it among all of this customer's."""
    found = [saga.id for saga in await shop.sagas(query)]
    assert found == [order.saga_id], query
    return True


async def test_search_when_orders_ended_differently_finds_each_by_what_became_of_it(shop: Shop) -> None:
    completed = await shop.order(wait_s=30)
    declined = await shop.order(wait_s=30, payment_token="tok_declined")
    expired = await shop.order(wait_s=30, payment_token="tok_expires_before_capture")
    stuck = await shop.order(faults=[{"step": "confirm_order", "kind": "error", "times": "always"}])
    await shop.until(stuck, SagaStatus.STUCK)

    for order, query in [
        (completed, 'SagaStatus="completed" AND FailureCode IS NULL'),
        (declined, 'SagaStatus="compensated" AND FailureCode="CARD_DECLINED"'),
        (declined, TURNED.format(step="authorize_payment", code="CARD_DECLINED")),
        (expired, TURNED.format(step="capture_payment", code="AUTHORIZATION_EXPIRED")),
        (stuck, 'SagaStatus="stuck" AND FailedStep="confirm_order" AND ExecutionStatus="Running"'),
    ]:
        await eventually(partial(is_found, shop, order, query), within_s=20, every_s=0.1)

    await shop.decide(stuck, "confirm_order", "retry", without_faults=True)
    await shop.until_clean(stuck, SagaStatus.COMPLETED)
    # Nothing of its trouble is left to be found.
    healed = 'SagaStatus="completed" AND FailedStep IS NULL AND FailureCode IS NULL'
    await eventually(lambda: _count(shop, healed, 2), within_s=20, every_s=0.1)


async def _count(shop: Shop, query: str, expected: int) -> bool:
    assert len(await shop.sagas(query)) == expected
    return True
