"""Logs that break each invariant, one by one: the audit finds every forgery, names it and the event, and nothing else.

The events are handed to the projection as they are, on both back ends; test_audit.py forges the logs of real services.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID

import pytest

from contracts import events as public
from contracts.audits import Invariant, LedgerAudit
from services.kernel.database import Database
from services.views.audit_queries import LogEnd, audit_ledgers, list_open, order_at_rest
from services.views.projection import apply
from tests.support.databases import Databases
from tests.support.public_logs import ENDINGS, PublicLogs, SagaLog, a_saga, stocked

pytestmark = pytest.mark.integration

Forgery = Callable[[SagaLog], str]
"""Adds to an honest saga's logs what must never be there; answers the event that shows it."""


@pytest.fixture
def views(databases: Databases) -> Iterator[Database]:
    with closing(Database(databases.url("views"))) as database:
        yield database


def audited(views: Database, logs: PublicLogs) -> LedgerAudit:
    with views.writing() as session:
        for event in logs.events:
            apply(session, event, 1)
    with views.reading() as session:
        return audit_ledgers(session, {service: LogEnd(0) for service in logs.heads})


def _last(saga: SagaLog) -> str:
    """Nothing is forged: the saga has just stopped here, and its order's own log ends with this."""
    return f"order {saga.order_id}:1"


def _complete_with(saga: SagaLog, amount_minor: int) -> str:
    saga.authorize(amount_minor)
    saga.book()
    captured = saga.capture()
    saga.does("confirm", "dispatch")
    return captured


def _capture_again(saga: SagaLog) -> str:
    saga.authorize(step="authorize_again")
    fact = public.PaymentCaptured(authorization=saga.key("authorize_again"))
    captured = saga.add("payment", fact, "capture_again", "CapturePayment")
    saga.does("confirm", "dispatch")
    return captured


def _ship(saga: SagaLog, units: dict[str, int]) -> str:
    booked = saga.announce(units)
    saga.move(public.StockBooked, "book_shipment", "BookShipment", units)
    saga.add("shipping", public.ShipmentDispatched(), "dispatch_shipment", "DispatchShipment")
    saga.move(public.StockDispatched, "dispatch_shipment", "DispatchShipment", units)
    return booked


def acts(*names: str) -> tuple[str, ...]:
    return names


BACK = ENDINGS["turned back at the pivot"]
THERE = ENDINGS["completed"]
RETURNED = ENDINGS["returned"]

FOR_EVER: dict[str, tuple[tuple[str, ...], Forgery, set[Invariant]]] = {
    # Once
    "order placed twice": (acts("place"), lambda s: s.place(), {Invariant.ONCE}),
    "order confirmed twice": (THERE, lambda s: s.confirm(), {Invariant.ONCE}),
    "order rejected twice": (BACK, lambda s: s.reject(), {Invariant.ONCE}),
    "shipment booked twice": (acts("place", "authorize", "book"), lambda s: s.announce(), {Invariant.ONCE}),
    "units taken twice": (acts("place", "authorize", "book"), lambda s: s.take(), {Invariant.ONCE}),
    "shipment cancelled twice": (
        BACK,
        lambda s: s.add("shipping", public.ShipmentCancelled(), "book_shipment", "CancelShipment"),
        {Invariant.ONCE},
    ),
    "shipment dispatched twice": (
        THERE,
        lambda s: s.add("shipping", public.ShipmentDispatched(), "dispatch_shipment", "DispatchShipment"),
        {Invariant.ONCE},
    ),
    "units returned twice": (BACK, lambda s: s.give_back(), {Invariant.ONCE, Invariant.STOCK}),
    "shipment came back twice": (RETURNED, lambda s: s.receive(), {Invariant.ONCE, Invariant.STOCK}),
    "return closed twice": (RETURNED, lambda s: s.close_return(), {Invariant.ONCE}),
    # Compensations without their actions
    "return withdrawn, never opened": (THERE, lambda s: s.withdraw_return(), {Invariant.NAMED}),
    "recall cancelled, never begun": (THERE, lambda s: s.cancel_recall(), {Invariant.NAMED}),
    "rejected, never placed": ((), lambda s: s.reject(), {Invariant.NAMED}),
    "shipment cancelled, never booked": (
        acts("place"),
        lambda s: s.add("shipping", public.ShipmentCancelled(), "book_shipment", "CancelShipment"),
        {Invariant.NAMED},
    ),
    "booking refused, never requested": (
        acts("place"),
        lambda s: s.add(
            "shipping", public.ShipmentBookingRefused(code="X", message=""), "book_shipment", "BookShipment"
        ),
        {Invariant.NAMED},
    ),
    "units returned, never taken": (
        acts("place"),
        lambda s: s.move(public.StockReturned, "book_shipment", "CancelShipment", {"PEN": 1}),
        {Invariant.NAMED, Invariant.STOCK},
    ),
    # Actions after their compensations
    "placed after its rejection": ((), lambda s: s.does("reject").place(), {Invariant.NAMED, Invariant.TOMBSTONE}),
    "booked after its cancellation": (
        BACK,
        lambda s: s.announce(),
        {Invariant.ONCE, Invariant.TOMBSTONE},
    ),
    "booked after its withdrawal": (ENDINGS["withdrawn"], lambda s: s.announce(), {Invariant.TOMBSTONE}),
    "refused after its withdrawal": (
        ENDINGS["withdrawn"],
        lambda s: s.add(
            "shipping", public.ShipmentBookingRefused(code="X", message=""), "book_shipment", "BookShipment"
        ),
        {Invariant.TOMBSTONE},
    ),
    "return opened after its withdrawal": (
        ENDINGS["return withdrawn"],
        lambda s: s.open_return(),
        {Invariant.ONCE, Invariant.TOMBSTONE},
    ),
    # Stock
    "units came back that never left": (
        acts("place", "authorize", "book", "capture", "confirm"),
        lambda s: s.move(public.StockTakenBack, "receive_shipment", "ReceiveShipment", saga="return"),
        {Invariant.STOCK},
    ),
    "more taken than there is": (
        acts("place"),
        lambda s: s.move(public.StockBooked, "book_shipment", "BookShipment", {"PEN": 101}),
        {Invariant.STOCK},
    ),
    "more dispatched than booked": (
        acts("place", "authorize", "book", "capture", "confirm"),
        lambda s: s.move(public.StockDispatched, "dispatch_shipment", "DispatchShipment", {"PEN": 2}),
        {Invariant.STOCK},
    ),
    # Decisions
    "confirmed, then rejected": (THERE, lambda s: s.reject(), {Invariant.DECIDED}),
    "rejected, then confirmed": (BACK, lambda s: s.confirm(), {Invariant.DECIDED}),
    "confirmed, never placed": ((), lambda s: s.confirm(), {Invariant.DECIDED}),
    "returned, never opened": (THERE, lambda s: s.close_return(), {Invariant.DECIDED}),
}


@pytest.mark.parametrize("name", FOR_EVER)
def test_log_when_it_breaks_an_invariant_for_ever_then_found_at_its_event(views: Database, name: str) -> None:
    honest, forge, invariants = FOR_EVER[name]
    logs = stocked()
    a_saga(logs).complete()
    saga = a_saga(logs).does(*honest)
    # A twin that does the same, so that nothing but the forged order can be meant.
    a_saga(logs).does(*honest)

    forged = forge(saga)
    audit = audited(views, logs)

    assert {found.invariant for found in audit.findings} == invariants
    shown = {event for found in audit.findings for example in found.examples for event in example.events}
    assert forged in shown
    assert {example.order_id for found in audit.findings for example in found.examples} == {UUID(saga.order_id)}


AT_REST: dict[str, tuple[tuple[str, ...], Forgery, set[Invariant]]] = {
    "never confirmed": (acts("place", "authorize", "book", "capture"), _last, {Invariant.DECIDED}),
    "never rejected": (acts("place"), _last, {Invariant.DECIDED}),
    "confirmed, nothing captured": (
        acts("place", "authorize", "book", "void", "dispatch"),
        lambda s: s.confirm(),
        {Invariant.CAPTURED},
    ),
    "half of the total captured": (
        acts("place"),
        lambda s: _complete_with(s, s.total // 2),
        {Invariant.CAPTURED},
    ),
    "captured in two parts": (acts("place", "authorize", "book", "capture"), _capture_again, {Invariant.CAPTURED}),
    "never dispatched": (acts("place", "authorize", "book", "capture"), lambda s: s.confirm(), {Invariant.SHIPPED}),
    "other units shipped": (
        acts("place", "authorize", "capture", "confirm"),
        lambda s: _ship(s, {"BOOK": 1}),
        {Invariant.SHIPPED},
    ),
    "shipment announced, no unit left": (
        acts("place", "authorize", "announce", "capture", "confirm"),
        lambda s: s.add("shipping", public.ShipmentDispatched(), "dispatch_shipment", "DispatchShipment"),
        {Invariant.SHIPPED},
    ),
    "confirmed, with money held beside": (THERE, lambda s: s.authorize(step="authorize_again"), {Invariant.NOT_HELD}),
    "rejected, with money held": (acts("place", "authorize"), lambda s: s.reject(), {Invariant.NOT_HELD}),
    "rejected, and captured": (acts("place", "authorize", "capture"), lambda s: s.reject(), {Invariant.NOT_CAPTURED}),
    "rejected, shipment live": (acts("place", "authorize", "book", "void"), lambda s: s.reject(), {Invariant.RETURNED}),
    "rejected, units kept": (acts("place", "authorize", "take", "void"), lambda s: s.reject(), {Invariant.RETURNED}),
    "never placed, money held": ((), lambda s: s.authorize(), {Invariant.NOT_HELD}),
    "return left open": (THERE, lambda s: s.open_return(), {Invariant.REFUNDED}),
    "refunded, never returned": (THERE, lambda s: s.refund(), {Invariant.REFUNDED}),
    "returned, never refunded": (
        (*THERE, "open_return", "recall", "receive"),
        lambda s: s.close_return(),
        {Invariant.REFUNDED},
    ),
    "half of the total refunded": (
        (*THERE, "open_return", "recall", "receive", "close_return"),
        lambda s: s.refund(s.total // 2),
        {Invariant.REFUNDED},
    ),
    "returned, the shipment never came back": (
        (*THERE, "open_return", "recall", "refund"),
        lambda s: s.close_return(),
        {Invariant.REFUNDED},
    ),
}


@pytest.mark.parametrize("name", AT_REST)
def test_order_when_it_stays_as_it_is_then_what_is_amiss_is_named_with_its_events(views: Database, name: str) -> None:
    honest, forge, invariants = AT_REST[name]
    logs = stocked()
    a_saga(logs).complete()
    a_saga(logs).compensate()
    saga = a_saga(logs).does(*honest)

    forged = forge(saga)
    audit = audited(views, logs)

    # It may be on its way, so nothing is found yet; but it is open, and what is amiss is known.
    assert audit.findings == ()
    assert (audit.completed, audit.compensated, audit.open) == (1, 1, 1)
    with views.reading() as session:
        (opened,) = list_open(session, None, 10).orders
        order = order_at_rest(session, UUID(saga.order_id))
    assert opened.order_id == order.order_id == UUID(saga.order_id)
    assert order.saga_id == logs.events[-1].sagaid
    assert {one.invariant for one in order.amiss} == {one.invariant for one in opened.amiss} == invariants
    assert forged in {event for one in order.amiss for event in one.events}


def test_open_orders_when_paged_come_once_each_the_oldest_first(views: Database) -> None:
    logs = stocked()
    sagas = [a_saga(logs).does("place") for _ in range(7)]
    sagas[0].authorize()
    audited(views, logs)

    found, after = [], None
    with views.reading() as session:
        for _ in range(4):
            page = list_open(session, after, 2)
            found += [str(order.order_id) for order in page.orders]
            after = page.next

    assert after is None
    assert found == [saga.order_id for saga in [*sagas[1:], sagas[0]]]
