"""Attempts in the view only ever grow, also where Temporal forgets how many there were."""

from uuid import UUID, uuid4

import httpx
import pytest

from api.app import create_app
from api.idempotency import order_id_of
from contracts.sagas import SagaStatus, SagaView
from tests.integration.api.bench import QUICK, ApiBench, serving, settings_for
from tests.support.eventually import eventually
from tests.support.orders import an_order

pytestmark = pytest.mark.integration

SLOW_RETRIES = QUICK.model_copy(update={"retry_initial_s": 0.5, "retry_max_s": 30.0, "stuck_after": 1})
"""Soon there is time enough between two attempts to come in between."""


async def start(api: ApiBench, key: str) -> UUID:
    settings = settings_for(api.environment, policy=SLOW_RETRIES)
    async with serving(create_app(settings=settings, transport=api.paper.transport())) as http:
        response = await http.post("/orders", json=an_order(), headers={"Idempotency-Key": key})
    assert response.status_code == 202
    return order_id_of(key)


async def after_calls(api: ApiBench, order_id: UUID, activity: str, calls: int) -> SagaView:
    """The view when so many attempts were made, and the last one is known to have failed."""

    async def made() -> bool:
        view = await api.view(order_id)
        known = sum(step.attempts + step.compensation_attempts for step in view.steps)
        return api.world.calls[view.saga_id].count(activity) == calls and known == len(api.world.calls[view.saga_id])

    await eventually(made, within_s=30)
    return await api.view(order_id)


async def retry(api: ApiBench, order_id: UUID) -> httpx.Response:
    body = {"step": "authorize_payment", "decision": "retry", "reason": "x"}
    return await api.http.post(f"/orders/{order_id}/decisions", json=body)


async def test_compensation_attempts_when_retried_between_two_then_go_on_from_there(api: ApiBench) -> None:
    key = f"attempts-{uuid4()}"
    api.always(key, "book_shipment", "!OUT_OF_STOCK")
    api.always(key, "release_payment", "DOWN")
    order_id = await start(api, key)
    before = await after_calls(api, order_id, "release_payment", 4)

    assert (await retry(api, order_id)).status_code == 202

    after = await after_calls(api, order_id, "release_payment", 7)
    assert before.status is after.status is SagaStatus.STUCK
    assert (before.steps[1].compensation_attempts, after.steps[1].compensation_attempts) == (4, 7)


async def test_compensation_attempts_when_skipped_between_two_then_as_many_as_were_made(api: ApiBench) -> None:
    key = f"attempts-{uuid4()}"
    api.always(key, "book_shipment", "!OUT_OF_STOCK")
    api.always(key, "release_payment", "DOWN")
    order_id = await start(api, key)
    await after_calls(api, order_id, "release_payment", 4)

    body = {"step": "authorize_payment", "decision": "skip", "reason": "x"}
    await api.http.post(f"/orders/{order_id}/decisions", json=body)

    view = await api.until(order_id, SagaStatus.FORCED)
    assert view.steps[1].compensation_attempts == 4


async def test_attempts_when_cancelled_between_two_then_as_many_as_were_made(api: ApiBench) -> None:
    key = f"attempts-{uuid4()}"
    api.always(key, "book_shipment", "DOWN")
    order_id = await start(api, key)
    await after_calls(api, order_id, "book_shipment", 4)

    assert (await api.http.post(f"/orders/{order_id}/cancel")).status_code == 202

    view = await api.until(order_id, SagaStatus.COMPENSATED)
    assert view.steps[2].attempts == 4
