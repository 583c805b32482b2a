"""What a customer is told of an event, and of which events nothing. Pure: no I/O, no framework.

Guarantees: a text holds the order's number and nothing else that tells one customer from another, so it may be logged.
"""

from collections.abc import Callable, Mapping

from contracts.events import OrderPlaced, OrderRejected, PublicEvent
from contracts.sagas import Cause

_WHY_REJECTED: Mapping[Cause, str] = {
    Cause.REFUSED: "the payment, the delivery address or the stock did not allow it",
    Cause.FAILED: "a fault on our side kept us from it",
    Cause.CANCELLED: "it was cancelled",
    Cause.DEADLINE: "it took us too long",
}


def notifies(event: PublicEvent) -> bool:
    """Whether anybody is told of it."""
    return (event.service, event.type) in _TEXTS


def text_of(event: PublicEvent) -> str | None:
    """None for an event that notifies nobody, as does any that came to be known after this was written.

    Raises:
        ValidationError: the event does not say what its type promises.
    """
    render = _TEXTS.get((event.service, event.type))
    return render(event) if render else None


def _placed(event: PublicEvent) -> str:
    items = sum(line.quantity for line in event.read(OrderPlaced).lines)
    return f"We have received your order {event.subject}: {items} {'item' if items == 1 else 'items'}."


def _rejected(event: PublicEvent) -> str:
    cause = event.read(OrderRejected).cause
    return f"We cannot fulfil your order {event.subject}: {_WHY_REJECTED[cause]}."


def _saying(text: str) -> Callable[[PublicEvent], str]:
    return lambda event: text.format(order=event.subject)


# Who is told of the end of an order need not be told of each thing that was undone on the way, except for money.
_TEXTS: Mapping[tuple[str, str], Callable[[PublicEvent], str]] = {
    ("order", "OrderPlaced"): _placed,
    ("order", "OrderConfirmed"): _saying("Your order {order} is confirmed."),
    ("order", "OrderRejected"): _rejected,
    ("payment", "PaymentCaptured"): _saying("We have received your payment for order {order}."),
    ("payment", "PaymentVoided"): _saying("The amount held for your order {order} was let go."),
    # To the customer it is the same, whoever let go.
    ("payment", "PaymentExpired"): _saying("The amount held for your order {order} was let go."),
    ("payment", "PaymentRefunded"): _saying("We have paid back what you paid for order {order}."),
    ("shipping", "ShipmentDispatched"): _saying("Your order {order} is on its way."),
}
