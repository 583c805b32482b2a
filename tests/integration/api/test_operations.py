"""Operators' decisions about stuck sagas, through the API."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api.app import create_app
from contracts.sagas import SagaStatus
from tests.integration.api.bench import ApiBench, serving, settings_for
from tests.support.orders import an_order

pytestmark = pytest.mark.integration


@pytest.fixture
async def stuck(api: ApiBench) -> UUID:
    """An order whose payment cannot be released: refused, so the saga waits."""
    key = f"stuck-{uuid4()}"
    api.always(key, "book_shipment", "!OUT_OF_STOCK")
    api.always(key, "release_payment", "!PAYMENT_ALREADY_CAPTURED")
    order_id = (await api.order(key=key)).json()["order_id"]
    await api.until(order_id, SagaStatus.STUCK)
    return UUID(order_id)


async def decide(api: ApiBench, order_id: UUID, *, key: str | None = None, **changes: Any) -> httpx.Response:
    body = {"step": "authorize_payment", "decision": "retry", "reason": "the gateway is back", **changes}
    headers = {"Idempotency-Key": key} if key else {}
    return await api.http.post(f"/orders/{order_id}/decisions", json=body, headers=headers)


async def test_retry_when_it_works_then_compensated(api: ApiBench, stuck: UUID) -> None:
    del api.world.always[f"order-{stuck}", "release_payment"]

    response = await decide(api, stuck)

    assert response.status_code == 202
    assert response.headers["Idempotency-Key"]
    view = await api.until(stuck, SagaStatus.COMPENSATED)
    assert view.residue == ()


async def test_skip_when_decided_then_forced_with_its_residue(api: ApiBench, stuck: UUID) -> None:
    response = await decide(api, stuck, decision="skip")

    assert response.status_code == 202
    view = await api.until(stuck, SagaStatus.FORCED)
    assert [(residue.step, residue.phase) for residue in view.residue] == [("authorize_payment", "compensation")]


async def test_same_key_when_decided_before_then_not_again(api: ApiBench, stuck: UUID) -> None:
    await decide(api, stuck, key="d-1", decision="skip")
    await api.until(stuck, SagaStatus.FORCED)

    again = await decide(api, stuck, key="d-1", decision="skip")
    other = await decide(api, stuck, key="d-1", decision="retry")

    assert (again.status_code, again.json()["status"]) == (202, "forced")
    assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")


@pytest.mark.parametrize("changes", [{"step": "book_shipment"}, {"decision": "give_up"}, {"step": "capture_payment"}])
async def test_decision_when_it_makes_no_sense_then_409(api: ApiBench, stuck: UUID, changes: dict[str, str]) -> None:
    response = await decide(api, stuck, **changes)

    assert (response.status_code, response.json()["code"]) == (409, "DECISION_NOT_POSSIBLE")
    assert changes.get("step", "authorize_payment") in response.json()["detail"]
    assert (await api.view(stuck)).status is SagaStatus.STUCK


async def test_decision_when_the_saga_has_ended_then_409(api: ApiBench) -> None:
    order_id = (await api.order(wait=20)).json()["order_id"]

    response = await decide(api, order_id)

    assert (response.status_code, response.json()["code"]) == (409, "DECISION_NOT_POSSIBLE")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"step": "make_coffee"}, "UNKNOWN_STEP"),
        ({"decision": "pray"}, "MALFORMED"),
        ({"reason": ""}, "MALFORMED"),
        ({"reason": "x" * 1001}, "MALFORMED"),
        ({"more": 1}, "MALFORMED"),
        ({"without_faults": "perhaps"}, "MALFORMED"),
    ],
)
async def test_decision_when_malformed_then_422(api: ApiBench, stuck: UUID, changes: dict[str, Any], code: str) -> None:
    response = await decide(api, stuck, **changes)

    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_decision_when_no_worker_answers_then_503(api: ApiBench) -> None:
    settings = settings_for(api.environment, task_queue="nobody", decision_timeout_s=0.3)
    async with serving(create_app(settings=settings, transport=api.paper.transport())) as http:
        order_id = (await http.post("/orders", json=an_order())).json()["order_id"]
        body = {"step": "authorize_payment", "decision": "retry", "reason": "x"}

        response = await http.post(f"/orders/{order_id}/decisions", json=body)

    assert (response.status_code, response.json()["code"]) == (503, "NO_WORKER")
    assert response.headers["Retry-After"]
    assert response.headers["Idempotency-Key"]
