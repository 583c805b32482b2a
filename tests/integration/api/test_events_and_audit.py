"""Audit, events, and what the order service remembers when Temporal has forgotten."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.idempotency import order_id_of
from api.services import Stream
from contracts.events import OrderConfirmed, PaymentCaptured
from contracts.sagas import SagaStatus
from tests.integration.api.bench import ApiBench
from tests.support.forgery import Forgery
from tests.support.orders import an_order
from tests.support.views_on_paper import an_order_event, an_order_view

pytestmark = pytest.mark.integration


def put_on_paper(api: ApiBench, forged: Forgery, order_id: str) -> None:
    """Lets the services tell what is forged, as if it had happened to that order."""
    evidence = forged.evidence(SagaStatus.RUNNING)
    streams = {"order": evidence.order, "payment": evidence.payment, "shipping": evidence.shipping}
    for service, stream in streams.items():
        if stream is not None and stream.events:
            api.paper.pages[service, f"/streams/{order_id}"] = _page(stream, forged, order_id)
    for sku, stream in evidence.stock.items():
        api.paper.pages["shipping", f"/streams/stock-{sku}"] = _page(stream, forged, order_id)
    assert evidence.gateway is not None
    books = evidence.gateway.model_dump_json().replace(forged.order_id, order_id)
    api.paper.pages["payment", f"/gateway/books/{order_id}"] = books


def _page(stream: Stream, forged: Forgery, order_id: str) -> str:
    return stream.model_dump_json().replace(forged.order_id, order_id)


class TestAudit:
    async def test_audit_when_the_logs_agree_then_clean(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        put_on_paper(api, Forgery().complete(), order_id)

        audit = (await api.http.get(f"/orders/{order_id}/audit")).json()

        assert (audit["status"], audit["clean"]) == ("completed", True), audit
        assert {"invariant", "holds", "evidence"} == set(audit["verdicts"][0])

    async def test_audit_when_the_logs_disagree_with_the_saga_then_not_clean(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        put_on_paper(api, Forgery().compensate(), order_id)

        audit = (await api.http.get(f"/orders/{order_id}/audit")).json()

        assert audit["clean"] is False

    @pytest.mark.parametrize("service", ["order", "payment", "shipping"])
    async def test_audit_when_a_service_is_down_then_503_naming_it(self, api: ApiBench, service: str) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        api.paper.down.add(service)
        try:
            response = await api.http.get(f"/orders/{order_id}/audit")
        finally:
            api.paper.down.clear()

        assert (response.status_code, response.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert service in response.json()["detail"]
        assert response.headers["Retry-After"]

    async def test_audit_when_a_service_talks_nonsense_then_503_naming_it(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        api.paper.pages["payment", f"/streams/{order_id}"] = '{"events": "none"}'

        response = await api.http.get(f"/orders/{order_id}/audit")

        assert response.status_code == 503
        assert "payment" in response.json()["detail"]


class TestEvents:
    async def test_events_when_of_several_services_then_as_cloud_events_in_the_views_order(self, api: ApiBench) -> None:
        order = an_order_view()
        told = [PaymentCaptured(authorization="a"), OrderConfirmed()]
        events = [an_order_event(order), *(an_order_event(order, data, position=2) for data in told)]
        api.paper.views.events[order.order_id] = events

        response = await api.http.get(f"/orders/{order.order_id}/events")

        found = response.json()["events"]
        assert [(event["source"], event["type"]) for event in found] == [
            ("/services/order", "OrderPlaced"),
            ("/services/payment", "PaymentCaptured"),
            ("/services/order", "OrderConfirmed"),
        ]
        assert found == [json.loads(event.to_json()) for event in events]

    async def test_events_when_there_are_none_yet_then_none(self, api: ApiBench) -> None:
        order_id = (await api.order()).json()["order_id"]

        assert (await api.http.get(f"/orders/{order_id}/events")).json()["events"] == []

    async def test_events_when_temporal_has_forgotten_the_order_then_told_all_the_same(self, api: ApiBench) -> None:
        order = an_order_view()
        api.paper.views.events[order.order_id] = [an_order_event(order)]

        assert (await api.http.get(f"/orders/{order.order_id}/events")).status_code == 200

    async def test_audit_when_the_query_side_is_down_then_answered(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        put_on_paper(api, Forgery().complete(), order_id)
        api.paper.down.add("views")
        try:
            audit = await api.http.get(f"/orders/{order_id}/audit")
        finally:
            api.paper.down.clear()

        assert audit.json()["clean"] is True


class TestForgotten:
    """Orders that Temporal has no workflow of any more, because its retention has passed."""

    def remembered(self, api: ApiBench, key: str, **changes: Any) -> UUID:
        """Has the order service remember an order under that key."""
        order_id, body = order_id_of(key), an_order()
        placed = {name: body[name] for name in ("customer_id", "currency", "lines")}
        forged = Forgery()
        forged.event(forged.order, "OrderPlaced", "place_order", "PlaceOrder", **{**placed, **changes})
        if changes.get("cause"):
            forged.event(forged.order, "OrderRejected", "place_order", "RejectOrder", cause=changes["cause"])
        else:
            forged.confirm()
        put_on_paper(api, forged, str(order_id))
        return order_id

    async def test_same_order_when_confirmed_long_ago_then_completed_and_not_run_again(self, api: ApiBench) -> None:
        order_id = self.remembered(api, key := f"old-{uuid4()}")

        response = await api.order(key=key)

        assert (response.status_code, response.json()["status"]) == (200, "completed")
        assert (response.json()["order_id"], response.json()["total_minor"]) == (str(order_id), 2500)
        assert f"order-{order_id}" not in api.world.calls

    async def test_same_order_when_rejected_long_ago_then_compensated_with_its_cause(self, api: ApiBench) -> None:
        self.remembered(api, key := f"old-{uuid4()}", cause="deadline")

        response = await api.order(key=key, wait=5)

        assert (response.status_code, response.json()["status"]) == (200, "compensated")
        assert response.json()["cause"] == "deadline"

    async def test_another_order_when_under_an_old_key_then_key_reused(self, api: ApiBench) -> None:
        self.remembered(api, key := f"old-{uuid4()}", customer_id="somebody else")

        response = await api.order(key=key)

        assert (response.status_code, response.json()["code"]) == (422, "KEY_REUSED")

    async def test_pending_order_when_its_saga_is_lost_then_runs_again(self, api: ApiBench) -> None:
        order_id = order_id_of(key := f"old-{uuid4()}")
        placed = {name: an_order()[name] for name in ("customer_id", "currency", "lines")}
        forged = Forgery()
        forged.event(forged.order, "OrderPlaced", "place_order", "PlaceOrder", **placed)
        put_on_paper(api, forged, str(order_id))
        assert (await api.view(order_id)).status is SagaStatus.TERMINATED

        response = await api.order(key=key, wait=20)

        assert (response.status_code, response.json()["status"]) == (200, "completed")
        assert len(api.world.calls[f"order-{order_id}"]) == 6

    async def test_another_order_when_under_the_key_of_a_lost_one_then_key_reused(self, api: ApiBench) -> None:
        order_id = order_id_of(key := f"old-{uuid4()}")
        forged = Forgery()
        placed = {name: an_order()[name] for name in ("currency", "lines")}
        forged.event(forged.order, "OrderPlaced", "place_order", "PlaceOrder", customer_id="somebody else", **placed)
        put_on_paper(api, forged, str(order_id))

        response = await api.order(key=key)

        assert (response.status_code, response.json()["code"]) == (422, "KEY_REUSED")
        assert f"order-{order_id}" not in api.world.calls

    async def test_old_order_when_looked_at_then_shown_without_steps(self, api: ApiBench) -> None:
        order_id = self.remembered(api, f"old-{uuid4()}")

        view = await api.view(order_id)

        assert (view.status, view.steps) == (SagaStatus.COMPLETED, ())

    async def test_old_order_when_cancelled_then_too_late(self, api: ApiBench) -> None:
        order_id = self.remembered(api, f"old-{uuid4()}")

        assert (await api.http.post(f"/orders/{order_id}/cancel")).status_code == 409

    async def test_order_service_when_down_then_orders_go_on(self, api: ApiBench) -> None:
        api.paper.down.add("order")
        try:
            response = await api.order()
        finally:
            api.paper.down.clear()

        assert response.status_code == 202

    async def test_key_when_made_up_then_the_order_service_is_not_asked(self, api: ApiBench) -> None:
        api.paper.reads.clear()

        await api.http.post("/orders", json=an_order())

        assert api.paper.reads == []
