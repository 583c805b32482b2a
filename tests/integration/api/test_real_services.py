"""The API before the real services and a real worker: what it tells, and what its audit finds, of each way to go."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from api.audit.verdicts import Audit
from contracts.sagas import SagaView
from tests.support.orders import an_order
from tests.support.world import World, open_world
from workflows.names import TASK_QUEUE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("api")) as world:
        world.worker(TASK_QUEUE)
        yield world


def fault(step: str, kind: str, times: int | str = "always", **more: Any) -> dict[str, Any]:
    return {"faults": [{"step": step, "kind": kind, "times": times, **more}]}


WAYS: dict[str, tuple[dict[str, Any], tuple[str, str | None]]] = {
    "healthy": ({}, ("completed", None)),
    "declined": ({"payment_token": "tok_declined"}, ("compensated", "refused")),
    "expired at the pivot": ({"payment_token": "tok_expires_before_capture"}, ("compensated", "refused")),
    "out of stock": (
        {"lines": [{"sku": "NONE-1", "quantity": 1, "unit_price_minor": 100}]},
        ("compensated", "refused"),
    ),
    "refused by injection": (fault("book_shipment", "refuse"), ("compensated", "refused")),
    "order never placed": (fault("place_order", "error"), ("compensated", "failed")),
    "authorization's reply lost": (fault("authorize_payment", "lost_reply"), ("compensated", "failed")),
    "shipment's reply lost": (fault("book_shipment", "lost_reply"), ("compensated", "failed")),
    "capture's reply lost twice": (fault("capture_payment", "lost_reply", 2), ("completed", None)),
    "confirmation down for a while": (fault("confirm_order", "error", 2), ("completed", None)),
    "dispatch's reply lost twice": (fault("dispatch_shipment", "lost_reply", 2), ("completed", None)),
    "compensation's reply lost twice": (
        {
            "faults": [
                *fault("book_shipment", "refuse")["faults"],
                *fault("authorize_payment", "lost_reply", 2, phase="compensation")["faults"],
            ]
        },
        ("compensated", "refused"),
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_order_when_it_goes_a_way_then_told_rightly_and_clean(world: World, way: str) -> None:
    changes, expected = WAYS[way]

    headers = {"Prefer": "wait=25", "Idempotency-Key": f"{way}-{uuid4()}"}
    response = await world.api.post("/orders", json=an_order(**changes), headers=headers)

    view = SagaView.model_validate_json(response.content)
    assert (view.status, view.cause) == expected, view
    audit = Audit.model_validate_json((await world.api.get(f"{view.links.self}/audit")).content)
    assert audit.clean, [verdict for verdict in audit.verdicts if not verdict.holds]
    assert all(step.attempts for step in view.steps) is (view.status == "completed")


async def test_events_when_healthy_then_the_services_facts_in_order(world: World) -> None:
    view = (await world.api.post("/orders", json=an_order(), headers={"Prefer": "wait=25"})).json()

    events = (await world.api.get(view["links"]["events"])).json()["events"]

    assert [event["type"] for event in events] == [
        "OrderPlaced",
        "PaymentAuthorized",
        "ShipmentBooked",
        "PaymentCaptured",
        "OrderConfirmed",
        "ShipmentDispatched",
    ]
