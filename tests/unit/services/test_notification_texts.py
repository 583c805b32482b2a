from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from contracts import events
from contracts.events import PUBLIC_EVENTS, EventData, PublicEvent
from contracts.sagas import Cause
from services.notifications.texts import notifies, text_of

AUTHORIZATION = "order-7:authorize_payment"
LINES = (
    events.OrderLine(sku="BOOK-1", quantity=2, unit_price_minor=1250),
    events.OrderLine(sku="BOOK-2", quantity=1, unit_price_minor=300),
)


def an_event(service: str, data: EventData) -> PublicEvent:
    return PublicEvent.of(
        service,
        data,
        subject="7",
        time=datetime.now(UTC),
        causationid="order-7:place_order/PlaceOrder",
        sagaid="order-7",
        stream="7",
        streamversion=1,
        position=1,
        logid="log-1",
    )


def placed(lines: tuple[events.OrderLine, ...] = LINES) -> events.OrderPlaced:
    return events.OrderPlaced(customer_id="cust-1", currency="EUR", total_minor=2800, lines=lines)


TOLD: list[tuple[str, EventData, str]] = [
    ("order", placed(), "We have received your order 7: 3 items."),
    ("order", placed(LINES[1:]), "We have received your order 7: 1 item."),
    ("order", events.OrderConfirmed(), "Your order 7 is confirmed."),
    ("payment", events.PaymentCaptured(authorization=AUTHORIZATION), "We have received your payment for order 7."),
    ("payment", events.PaymentVoided(authorization=AUTHORIZATION), "The amount held for your order 7 was let go."),
    ("payment", events.PaymentExpired(authorization=AUTHORIZATION), "The amount held for your order 7 was let go."),
    (
        "payment",
        events.PaymentRefunded(authorization=AUTHORIZATION, amount_minor=2800),
        "We have paid back what you paid for order 7.",
    ),
    ("shipping", events.ShipmentDispatched(), "Your order 7 is on its way."),
]
NOT_TOLD: list[tuple[str, EventData]] = [
    ("payment", events.PaymentAuthorized(authorization=AUTHORIZATION, amount_minor=2800, currency="EUR")),
    ("shipping", events.ShipmentBooked(units=())),
    # The order's rejection follows, and tells it in other words.
    ("shipping", events.ShipmentBookingRefused(code="UNDELIVERABLE_ADDRESS", message="no carrier delivers to AQ")),
    ("shipping", events.ShipmentCancelled()),
    # Of a return they hear when they get their money back.
    ("order", events.ReturnOpened()),
    ("order", events.ReturnWithdrawn()),
    ("order", events.OrderReturned()),
    ("shipping", events.ShipmentRecalled()),
    ("shipping", events.ShipmentRecallCancelled()),
    ("shipping", events.ShipmentReturned()),
    ("shipping", events.StockReceived(sku="BOOK-1", quantity=1, delivery="d-1")),
    ("shipping", events.StockBooked(sku="BOOK-1", quantity=1)),
    ("shipping", events.StockReturned(sku="BOOK-1", quantity=1)),
    ("shipping", events.StockDispatched(sku="BOOK-1", quantity=1)),
    ("shipping", events.StockTakenBack(sku="BOOK-1", quantity=1)),
]


@pytest.mark.parametrize(("service", "data", "text"), TOLD)
def test_text_when_an_event_is_the_customers_business_then_says_it(service: str, data: EventData, text: str) -> None:
    event = an_event(service, data)

    assert (notifies(event), text_of(event)) == (True, text)


@pytest.mark.parametrize(("service", "data"), NOT_TOLD)
def test_text_when_an_event_is_not_the_customers_business_then_none(service: str, data: EventData) -> None:
    event = an_event(service, data)

    assert (notifies(event), text_of(event)) == (False, None)


def test_public_events_when_counted_are_all_decided_on_here() -> None:
    decided = {type(data) for _, data, _ in TOLD} | {type(data) for _, data in NOT_TOLD} | {events.OrderRejected}

    assert decided == {event for announced in PUBLIC_EVENTS.values() for event in announced}


@pytest.mark.parametrize("cause", Cause)
def test_text_when_an_order_is_rejected_then_gives_the_cause_in_other_words(cause: Cause) -> None:
    text = text_of(an_event("order", events.OrderRejected(cause=cause)))

    assert text is not None
    assert text.startswith("We cannot fulfil your order 7: ")
    assert cause.value not in text or cause is Cause.CANCELLED


def test_text_when_an_order_is_placed_then_names_no_customer() -> None:
    text = text_of(an_event("order", placed()))

    assert text is not None
    assert "cust-1" not in text


def test_text_when_the_type_is_unknown_then_none() -> None:
    event = an_event("order", placed()).model_copy(update={"type": "OrderGiftWrapped"})

    assert text_of(event) is None


def test_text_when_the_type_is_another_services_then_none() -> None:
    assert text_of(an_event("payment", events.OrderConfirmed())) is None


def test_text_when_an_event_does_not_say_what_it_promises_then_raises() -> None:
    event = an_event("order", placed()).model_copy(update={"data": {}})

    with pytest.raises(ValidationError):
        text_of(event)
