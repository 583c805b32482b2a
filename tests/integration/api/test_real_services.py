"""The API before the real services and a real worker: what it tells, and what its audit finds, of each way to go."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from api.audit.verdicts import Audit
from contracts.sagas import SagaView
from tests.support.eventually import eventually
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


async def test_faults_when_some_were_enacted_then_told_how_often_and_the_order_can_be_run_again(world: World) -> None:
    plan = [
        *fault("authorize_payment", "error", 1)["faults"],
        *fault("book_shipment", "refuse")["faults"],
        *fault("authorize_payment", "lost_reply", 5)["faults"],
        *fault("authorize_payment", "slow", 1, phase="compensation", delay_ms=10)["faults"],
        *fault("capture_payment", "garbage")["faults"],
    ]
    body = an_order(faults=plan, policy={"action_attempts": 8, "retry_initial_s": 0.01, "retry_max_s": 0.1})
    view = (await world.api.post("/orders", json=body, headers={"Prefer": "wait=25"})).json()

    faults = (await world.api.get(f"{view['links']['self']}/faults")).json()
    same = (await world.api.get(f"{view['links']['self']}/request")).json()
    again = (await world.api.post("/orders", json=same, headers={"Prefer": "wait=25"})).json()

    assert [(one["kind"], one["enacted"]) for one in faults] == [
        ("error", 1),
        ("refuse", 1),
        ("lost_reply", 5),
        ("slow", 1),
        ("garbage", 0),
    ]
    assert again["order_id"] != view["order_id"]
    for one in (view, again):
        states = {step["name"]: (step["state"], step["attempts"]) for step in one["steps"]}
        assert (one["status"], one["cause"]) == ("compensated", "refused")
        assert states["authorize_payment"] == ("compensated", 7)


async def test_story_when_a_fault_did_no_harm_then_it_is_told_all_the_same(world: World) -> None:
    body = an_order(**fault("place_order", "duplicate", 1))
    view = (await world.api.post("/orders", json=body, headers={"Prefer": "wait=25"})).json()

    entries = (await world.api.get(view["links"]["history"])).json()["entries"]

    told = next(entry for entry in entries if entry["step"] == "place_order")
    assert (told["outcome"], told["detail"]) == ("done", "the injected fault duplicate came with it")


async def test_events_when_healthy_then_soon_the_services_facts_in_causal_order(world: World) -> None:
    view = (await world.api.post("/orders", json=an_order(), headers={"Prefer": "wait=25"})).json()

    async def events() -> list[str]:
        answer = await world.api.get(view["links"]["events"])
        assert answer.status_code == 200, answer.text
        return [event["type"] for event in answer.json()["events"]]

    async def all_there() -> bool:
        return "StockDispatched" in await events()

    await eventually(all_there)
    told = await events()
    assert sorted(told[2:4]) == ["ShipmentBooked", "StockBooked"]
    assert sorted(told[-2:]) == ["ShipmentDispatched", "StockDispatched"]
    assert [event for event in told if not event.startswith(("Stock", "Shipment"))] == [
        "OrderPlaced",
        "PaymentAuthorized",
        "PaymentCaptured",
        "OrderConfirmed",
    ]


async def test_read_models_when_orders_have_ended_then_soon_tell_of_them(world: World) -> None:
    customer = f"cust-{uuid4().hex}"
    before = datetime.now(UTC).isoformat()
    for token in ("tok_visa", "tok_declined"):
        order = an_order(customer_id=customer, payment_token=token)
        await world.api.post("/orders", json=order, headers={"Prefer": "wait=25"})

    async def listed(**filters: str) -> list[dict[str, Any]]:
        answer = await world.api.get("/orders", params={"customer": customer, "from": before, **filters})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["orders"])

    async def all_told() -> bool:
        orders = await listed()
        ends = {(order["status"], order["shipment"], order["captured_minor"]) for order in orders}
        return ends == {("rejected", "none", 0), ("confirmed", "dispatched", 2500)}

    await eventually(all_told)
    rejected, confirmed = await listed()
    assert (rejected["cause"], confirmed["cause"]) == ("refused", None)
    assert await listed(status="rejected", cause="refused") == [rejected]
    first = (await world.api.get("/orders", params={"customer": customer, "limit": "1"})).json()
    second = (await world.api.get(first["next"])).json()
    assert [page["orders"][0]["order_id"] for page in (first, second)] == [rejected["order_id"], confirmed["order_id"]]
    assert second["next"] is None
    view = (await world.api.get(f"/views/orders/{confirmed['order_id']}")).json()
    assert view == {name: confirmed[name] for name in confirmed if name != "links"}


async def test_sums_when_asked_for_then_soon_there_and_add_up(world: World) -> None:
    await world.api.post("/orders", json=an_order(), headers={"Prefer": "wait=25"})

    async def add_up() -> bool:
        everything = (await world.api.get("/stock")).json()
        money = (await world.api.get("/money")).json()
        assert [one["sku"] for one in everything] == ["BOOK-1"], everything
        assert [one["currency"] for one in money] == ["EUR"], money
        stock = (await world.api.get("/stock/BOOK-1")).json()
        assert stock["received"] == stock["on_hand"] + stock["booked"] + stock["dispatched"]
        return bool(stock["dispatched"] >= 2 and money[0]["captured_minor"] >= 2500)

    await eventually(add_up)


async def test_cursor_when_made_up_then_422(world: World) -> None:
    answer = await world.api.get("/orders", params={"after": "never-handed-out"})

    assert (answer.status_code, answer.json()["code"]) == (422, "MALFORMED")
    assert answer.json()["errors"][0]["loc"] == ["query", "after"]


async def test_read_models_when_asked_for_the_time_before_then_404(world: World) -> None:
    long_ago = {"at": "2020-01-01T00:00:00Z"}

    async def known() -> bool:
        return (await world.api.get("/stock/BOOK-1")).status_code == 200

    await eventually(known)
    answer = await world.api.get("/stock/BOOK-1", params=long_ago)
    assert (answer.status_code, answer.json()["code"]) == (404, "SKU_NOT_FOUND")
