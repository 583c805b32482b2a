"""The audit's parts over HTTP, with real services: honest ones are clean, and what is forged in their logs is found."""

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contracts.audits import BarrierAudit, BookEntry, BookTotal, Invariant, LedgerAudit, OpenOrders, OrderAtRest
from contracts.orders import Line
from contracts.sagas import Cause
from services.kernel import event_log
from services.kernel.aggregates import AnyAggregate
from services.kernel.event_log import Origin
from services.kernel.tables import CommandRow
from services.order.events import OrderConfirmed, OrderRejected
from services.order.handlers import ORDER
from services.payment.events import PaymentAuthorized, PaymentCaptured
from services.payment.handlers import PAYMENT
from services.shipping.events import ShipmentBooked, StockBooked
from services.shipping.handlers import SHIPMENT, STOCK
from services.views.app import create_app
from tests.integration.views.site import Site, Views
from tests.support.builders import SagaCommands, address
from tests.support.eventually import eventually
from tests.support.service_client import in_memory
from tests.support.stock import receive

pytestmark = pytest.mark.integration


@pytest.fixture
async def sku(site: Site) -> str:
    return await receive(site.shipping, 100)


async def audit_at_once(views: Views) -> LedgerAudit:
    return LedgerAudit.model_validate(await views.get("/views/audit"))


async def audit_of(views: Views) -> LedgerAudit:
    """Once the ledgers hold all that is in the logs, for which a busy machine may take longer than an audit waits."""
    audits: list[LedgerAudit] = []

    async def has_seen_all() -> bool:
        audits.append(await audit_at_once(views))
        return all(log.position == log.head for log in audits[-1].logs)

    await eventually(has_seen_all, within_s=30)
    return audits[-1]


async def at_rest(views: Views, saga: SagaCommands) -> OrderAtRest:
    return OrderAtRest.model_validate(await views.get(f"/views/audit/orders/{saga.order_id}"))


async def barrier_of(site: Site, service: str) -> BarrierAudit:
    response = await getattr(site, service).http.get("/audit/barrier")
    return BarrierAudit.model_validate(response.json())


async def place(site: Site, sku: str) -> SagaCommands:
    """An order of just what is booked for it later."""
    saga = SagaCommands()
    placed = saga.place_order().model_copy(update={"lines": (Line(sku=sku, quantity=2, unit_price_minor=1250),)})
    await site.send(saga, site.order, placed)
    return saga


async def fulfil(site: Site, sku: str) -> SagaCommands:
    saga = await place(site, sku)
    await site.book(saga, sku)
    await site.send(saga, site.payment, saga.capture_payment())
    await site.send(saga, site.order, saga.confirm_order())
    await site.send(saga, site.shipping, saga.dispatch_shipment())
    return saga


async def compensate(site: Site, sku: str) -> SagaCommands:
    saga = await place(site, sku)
    await site.book(saga, sku)
    await site.send(saga, site.payment, saga.abandon_capture())
    await site.send(saga, site.shipping, saga.cancel_shipment())
    await site.send(saga, site.payment, saga.release_payment())
    await site.send(saga, site.order, saga.reject_order())
    return saga


def forge(
    site: Site,
    service: str,
    aggregate: AnyAggregate,
    events: Sequence[Any],
    *,
    stream: str,
    step: tuple[SagaCommands, str, str],
) -> None:
    """Adds events to a service's own log, as somebody with its database could.

    Args:
        step: the saga, its step and the command that are said to have led to it.
    """
    saga, name, command = step
    with closing(site.database_of(service)) as database, database.writing() as session:
        origin = Origin(f"{saga.saga_id}:{name}", command, saga.saga_id)
        head = event_log.head(session, stream)
        event_log.append(session, aggregate, stream, events, expected_version=head, origin=origin)


class TestHonest:
    async def test_everything_when_sagas_ended_in_all_ways_is_clean(self, site: Site, views: Views, sku: str) -> None:
        for _ in range(2):
            await fulfil(site, sku)
            await compensate(site, sku)
        declined = await place(site, sku)
        await site.payment.send(declined.authorize_payment(token="tok_declined"), key=f"{declined.saga_id}:a")
        await site.send(declined, site.payment, declined.release_payment())
        await site.send(declined, site.order, declined.reject_order())
        never = SagaCommands()
        await site.send(never, site.shipping, never.cancel_shipment())
        await site.send(never, site.order, never.reject_order())

        audit = await audit_of(views)

        assert (audit.waits_for, audit.findings) == ((), ())
        assert (audit.completed, audit.compensated, audit.open) == (2, 3, 0)
        assert {log.service: log.head for log in audit.logs} == {log.service: log.position for log in audit.logs}
        assert audit.money == (
            "EUR: authorized 10000 = captured 5000 + voided 5000 + expired 0 + held 0, and refunded 0",
        )
        assert audit.stock == (f"{sku}: received 100 = on hand 96 + booked 0 + dispatched 4",)

    async def test_barriers_when_honest_are_clean(self, site: Site, sku: str) -> None:
        await fulfil(site, sku)
        await compensate(site, sku)
        never = SagaCommands()
        await site.send(never, site.shipping, never.cancel_shipment())
        late = await site.shipping.send(never.book_shipment((sku, 1)), key=never.key_of(never.book_shipment((sku, 1))))

        audits = {service: await barrier_of(site, service) for service in ("order", "payment", "shipping")}

        assert late.status_code == 409
        assert [audit.findings for audit in audits.values()] == [()] * 3
        assert {service: (audit.undos, audit.tombstones) for service, audit in audits.items()} == {
            "order": (1, 0),
            "payment": (2, 1),
            "shipping": (2, 1),
        }

    async def test_order_when_on_its_way_is_open(self, site: Site, views: Views, sku: str) -> None:
        saga = await place(site, sku)
        await site.book(saga, sku)

        audit = await audit_of(views)
        opened = OpenOrders.model_validate(await views.get("/views/audit/open"))

        assert (audit.findings, audit.open) == ((), 1)
        assert [(order.order_id, order.saga_id) for order in opened.orders] == [(saga.order_id, saga.saga_id)]

    async def test_books_when_compared_with_the_gateways_are_equal(self, site: Site, views: Views, sku: str) -> None:
        for _ in range(3):
            await fulfil(site, sku)
            await compensate(site, sku)
        await site.book(await place(site, sku), sku)
        await audit_of(views)

        for prefix in ("", "0", "7"):
            params = {"prefix": prefix}
            ours = await views.get("/views/audit/totals", **params)
            theirs = (await site.payment.http.get("/gateway/totals", params=params)).json()
            assert [BookTotal.model_validate(one) for one in ours] == [BookTotal.model_validate(one) for one in theirs]
        ours = [BookEntry.model_validate(one) for one in await views.get("/views/audit/entries")]
        found = (await site.payment.http.get("/gateway/entries")).json()
        theirs = [BookEntry.model_validate(one) for one in found]
        assert [one.model_dump(exclude={"key"}) for one in ours] == [one.model_dump(exclude={"key"}) for one in theirs]
        assert {one.state for one in ours} == {"held", "captured", "taken", "voided"}


class TestForged:
    async def test_second_effect_when_forged_is_found(self, site: Site, views: Views, sku: str) -> None:
        saga = await fulfil(site, sku)
        stream = str(saga.order_id)
        forge(site, "order", ORDER, [OrderConfirmed()], stream=stream, step=(saga, "confirm_order", "ConfirmOrder"))

        (found,) = (await audit_of(views)).findings

        assert (found.invariant, found.count) == (Invariant.ONCE, 1)
        assert found.examples[0].events == (f"order {stream}:2", f"order {stream}:3")
        assert found.examples[0].order_id == saga.order_id

    async def test_rejection_when_forged_for_a_confirmed_order_is_found_and_the_order_is_open(
        self, site: Site, views: Views, sku: str
    ) -> None:
        saga = await fulfil(site, sku)
        step = (saga, "place_order", "RejectOrder")
        forge(site, "order", ORDER, [OrderRejected(Cause.FAILED)], stream=str(saga.order_id), step=step)

        audit = await audit_of(views)

        assert [found.invariant for found in audit.findings] == [Invariant.DECIDED]
        assert audit.open == 1
        amiss = (await at_rest(views, saga)).amiss
        assert {one.invariant for one in amiss} == {Invariant.DECIDED}

    async def test_units_when_taken_twice_behind_the_shipments_back_are_found(
        self, site: Site, views: Views, sku: str
    ) -> None:
        saga = await compensate(site, sku)
        step = (saga, "book_again", "BookShipment")
        taken = [StockBooked(str(saga.order_id), 98), StockBooked(str(saga.order_id), 5)]
        forge(site, "shipping", STOCK, taken, stream=f"stock-{sku}", step=step)

        audit = await audit_of(views)

        found = {one.invariant: one for one in audit.findings}
        assert found.keys() == {Invariant.STOCK, Invariant.ONCE}
        assert f"{sku}: on hand is -3 after StockBooked" in found[Invariant.STOCK].examples[0].what

    async def test_capture_when_it_cannot_be_booked_is_found_though_its_stream_is_parked(
        self, site: Site, views: Views, sku: str
    ) -> None:
        saga = await compensate(site, sku)
        captured = PaymentCaptured(f"{saga.saga_id}:authorize_payment")
        step = (saga, "capture_payment", "CapturePayment")
        forge(site, "payment", PAYMENT, [captured], stream=str(saga.order_id), step=step)

        audit = await audit_of(views)

        (found,) = audit.findings
        assert found.invariant is Invariant.MONEY
        assert found.examples[0].events == (f"payment {saga.order_id}:3",)
        assert "expected a held authorization" in found.examples[0].what
        # What waits behind it is not in the ledgers, so nothing else can be said to hold.
        assert [reason.partition(" could")[0] for reason in audit.waits_for] == [f"payment {saga.order_id}:3"]

    async def test_event_when_dropped_by_an_operator_is_missing_for_ever(
        self, site: Site, views: Views, sku: str
    ) -> None:
        saga = await compensate(site, sku)
        captured = PaymentCaptured(f"{saga.saga_id}:authorize_payment")
        step = (saga, "capture_payment", "CapturePayment")
        forge(site, "payment", PAYMENT, [captured], stream=str(saga.order_id), step=step)
        await audit_of(views)

        which = {"service": "payment", "stream": str(saga.order_id), "version": 3}
        assert (await views.http.post("/dead-letters/drop", json=which)).is_success
        audit = await audit_of(views)

        (found,) = audit.findings
        assert (found.invariant, audit.waits_for) == (Invariant.COMPLETE, ())
        assert found.examples[0].events == (f"payment {saga.order_id}:3",)

    async def test_action_when_after_its_tombstone_is_found_by_the_service_itself(self, site: Site, sku: str) -> None:
        saga = SagaCommands()
        await site.send(saga, site.shipping, saga.cancel_shipment())
        stream, step = str(saga.order_id), (saga, "book_shipment", "BookShipment")
        booked = ShipmentBooked(saga.saga_id, (), address(), awaited=False)
        forge(site, "shipping", SHIPMENT, [booked], stream=stream, step=step)

        (found,) = (await barrier_of(site, "shipping")).findings

        assert (found.invariant, found.count) == (Invariant.TOMBSTONE, 1)
        assert found.examples[0].events == (f"shipping {stream}:1",)

    async def test_action_when_after_a_tombstone_from_before_positions_is_found_by_the_clock(self, site: Site) -> None:
        saga = SagaCommands()
        await site.send(saga, site.payment, saga.abandon_capture())
        with closing(site.database_of("payment")) as database, database.writing() as session:
            session.connection().execute(text("UPDATE commands SET position = NULL"))
        key = f"{saga.saga_id}:authorize_payment"
        events = [PaymentAuthorized(key, saga.saga_id, 100, "EUR"), PaymentCaptured(key)]
        step = (saga, "capture_payment", "CapturePayment")
        forge(site, "payment", PAYMENT, events, stream=str(saga.order_id), step=step)

        (found,) = (await barrier_of(site, "payment")).findings

        assert (found.invariant, found.count) == (Invariant.TOMBSTONE, 2)

    async def test_undo_when_it_says_done_and_has_changed_nothing_is_found(self, site: Site, sku: str) -> None:
        saga = await fulfil(site, sku)
        undone = saga.reject_order()
        with closing(site.database_of("order")) as database, database.writing() as session:
            row = session.get_one(CommandRow, (saga.key_of(undone), "PlaceOrder")).model_dump()
            session.add(CommandRow.model_validate({**row, "command": "RejectOrder", "phase": "undo"}))

        (found,) = (await barrier_of(site, "order")).findings

        assert (found.invariant, found.count) == (Invariant.NAMED, 1)
        assert saga.key_of(undone) in found.examples[0].what


class TestTooEarly:
    async def test_audit_when_a_log_does_not_answer_says_so(self, lonely_views: Views) -> None:
        audit = await audit_at_once(lonely_views)

        assert [reason.endswith("service's log: it does not answer") for reason in audit.waits_for] == [True] * 3

    async def test_audit_when_the_ledgers_are_behind_says_how_far(self, site: Site, views: Views) -> None:
        await views.caught_up()
        with closing(site.database_of("views")) as database, database.writing() as session:
            # Stands for a consumer that cannot keep up: nothing it takes is committed while this lasts.
            session.connection().execute(text("UPDATE cursors SET position = position"))
            await site.place()
            audit = await audit_at_once(views)

        assert audit.waits_for == ("the order service's log is taken up to 0 of 1",)
        assert audit.completed + audit.compensated + audit.open == 0

    async def test_audit_when_ledgers_are_of_an_earlier_version_they_are_built_anew(self, site: Site, sku: str) -> None:
        async with site.views() as views:
            await fulfil(site, sku)
            await views.caught_up()
        with closing(site.database_of("views")) as database, database.writing() as session:
            for change in ("UPDATE view_events SET causationid = NULL", "DELETE FROM view_standings"):
                session.connection().execute(text(change))

        async with site.views() as views:
            early = await audit_at_once(views)
            await views.caught_up(generation=2)
            later = await audit_of(views)

        assert early.waits_for != () or early.completed == 1
        assert (later.waits_for, later.findings, later.completed) == ((), (), 1)

    async def test_audit_when_the_read_model_was_rebuilt_says_the_same(
        self, site: Site, views: Views, sku: str
    ) -> None:
        saga = await fulfil(site, sku)
        step = (saga, "confirm_order", "ConfirmOrder")
        forge(site, "order", ORDER, [OrderConfirmed()], stream=str(saga.order_id), step=step)
        before = await audit_of(views)

        await views.http.post("/rebuild")
        await views.caught_up(generation=2)

        assert await audit_of(views) == before


class TestWatch:
    @pytest.fixture
    async def watched(self, site: Site) -> AsyncIterator[Views]:
        """Views in this process, so that what they log can be seen."""
        app = create_app(database_url=site.views_url, feed_urls=site.feed_urls, audit_grace_s=1)
        async with in_memory(app) as service:
            yield Views(service.http)

    async def test_drift_when_it_appears_and_goes_is_logged_once_each_and_measured(
        self, site: Site, watched: Views, sku: str
    ) -> None:
        saga = await fulfil(site, sku)
        stream, step = str(saga.order_id), (saga, "confirm_order", "ConfirmOrder")
        with capture_logs() as logs:
            assert 'amends_audit_findings{invariant="once"} 0.0' in (await watched.http.get("/metrics")).text
            forge(site, "order", ORDER, [OrderConfirmed()], stream=stream, step=step)
            await eventually(lambda: _logged(logs, "audit drift"), within_s=20)
            assert 'amends_audit_findings{invariant="once"} 1.0' in (await watched.http.get("/metrics")).text
            # As a back-up would that was made before.
            with closing(site.database_of("views")) as database, database.writing() as session:
                session.connection().execute(text("DELETE FROM view_findings"))
            await eventually(lambda: _logged(logs, "audit drift gone"), within_s=20)

        (drift,), (gone,) = _logged(logs, "audit drift"), _logged(logs, "audit drift gone")
        assert (drift["invariant"], drift["kind"], drift["count"]) == (Invariant.ONCE, "found", 1)
        assert (drift["events"], drift["order_ids"]) == ((f"order {stream}:2", f"order {stream}:3"), (stream,))
        assert gone["invariant"] is Invariant.ONCE

    async def test_order_when_left_alone_for_too_long_is_overdue_until_it_is_settled(
        self, site: Site, watched: Views, sku: str
    ) -> None:
        saga = await place(site, sku)
        with capture_logs() as logs:
            await eventually(lambda: _logged(logs, "audit drift"), within_s=20)
            metrics = (await watched.http.get("/metrics")).text
            await site.send(saga, site.order, saga.reject_order())
            await eventually(lambda: _logged(logs, "audit drift gone"), within_s=20)

        assert 'amends_audit_overdue_orders{invariant="decided"} 1.0' in metrics
        assert "amends_audit_open_orders 1.0" in metrics
        assert _logged(logs, "audit drift")[0]["order_ids"] == (str(saga.order_id),)


def _logged(logs: Sequence[Any], what: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == what]
