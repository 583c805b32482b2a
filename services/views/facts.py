"""What public events say, as far as this version knows them. Pure: no I/O, no framework."""

from contracts.events import (
    PUBLIC_EVENTS,
    EventData,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentExpired,
    PaymentRefunded,
    PaymentVoided,
    PublicEvent,
    ReturnOpened,
    ReturnWithdrawn,
    ShipmentBooked,
    ShipmentBookingRefused,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRecallCancelled,
    ShipmentRecalled,
    ShipmentReturned,
    StockBooked,
    StockDispatched,
    StockReceived,
    StockReturned,
    StockTakenBack,
)

PaymentFact = PaymentAuthorized | PaymentVoided | PaymentExpired | PaymentCaptured | PaymentRefunded
StockFact = StockReceived | StockBooked | StockReturned | StockDispatched | StockTakenBack
ShipmentFact = ShipmentBooked | ShipmentBookingRefused | ShipmentCancelled | ShipmentDispatched
RecallFact = ShipmentRecalled | ShipmentRecallCancelled | ShipmentReturned
ReturnFact = ReturnOpened | ReturnWithdrawn | OrderReturned
LifeFact = OrderPlaced | OrderConfirmed | OrderRejected | ReturnFact | PaymentFact | ShipmentFact | RecallFact
"""What is about an order's life. Stock events name an order too, but are about the shelf."""

_FACTS: dict[tuple[str, str], type[EventData]] = {
    (service, fact.__name__): fact for service, facts in PUBLIC_EVENTS.items() for fact in facts
}


def fact_of(event: PublicEvent) -> EventData | None:
    """What the event says; None for a type that a newer service has and we do not know.

    Raises:
        ValidationError: it does not say what its type promises.
    """
    known = _FACTS.get((event.service, event.type))
    return event.read(known) if known else None


def is_of_life(service: str, event_type: str) -> bool:
    """Whether an event of that type is part of an order's life."""
    known = _FACTS.get((service, event_type))
    return known is not None and issubclass(known, LifeFact)
