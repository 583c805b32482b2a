import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from contracts.events import (
    EVENT_MEDIA_TYPE,
    PUBLIC_EVENTS,
    EventData,
    OrderConfirmed,
    OrderLine,
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
    Unit,
)
from contracts.sagas import Cause
from messaging.asyncapi import document
from messaging.names import EXCHANGE
from messaging.transports import Wiring

EXAMPLES: tuple[EventData, ...] = (
    OrderPlaced(
        customer_id="cust-1",
        currency="EUR",
        total_minor=2500,
        lines=(OrderLine(sku="BOOK-1", quantity=2, unit_price_minor=1250),),
    ),
    OrderConfirmed(),
    *(OrderRejected(cause=cause) for cause in Cause),
    ReturnOpened(),
    ReturnWithdrawn(),
    OrderReturned(),
    PaymentAuthorized(authorization="auth-1", amount_minor=2500, currency="EUR"),
    PaymentVoided(authorization="auth-1"),
    PaymentExpired(authorization="auth-1"),
    PaymentCaptured(authorization="auth-1"),
    PaymentRefunded(authorization="auth-1", amount_minor=2500),
    ShipmentBooked(units=(Unit(sku="BOOK-1", quantity=2),)),
    ShipmentBooked(units=(Unit(sku="BOOK-1", quantity=2),), awaited=True),
    ShipmentBookingRefused(code="UNDELIVERABLE_ADDRESS", message="no carrier delivers to AQ"),
    ShipmentCancelled(),
    ShipmentDispatched(),
    ShipmentRecalled(),
    ShipmentRecallCancelled(),
    ShipmentReturned(),
    StockReceived(sku="BOOK-1", quantity=5, delivery="delivery-1"),
    StockBooked(sku="BOOK-1", quantity=2),
    StockReturned(sku="BOOK-1", quantity=2),
    StockDispatched(sku="BOOK-1", quantity=2),
    StockTakenBack(sku="BOOK-1", quantity=2),
)
SERVICE_OF = {data: service for service, events in PUBLIC_EVENTS.items() for data in events}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def test_document_when_read_has_a_channel_for_every_public_event(described: dict[str, Any]) -> None:
    topics = {f"{service}.{data.__name__}" for data, service in SERVICE_OF.items()}

    assert described["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in described["channels"].values()} == topics
    assert {operation["action"] for operation in described["operations"].values()} == {"send"}


@pytest.mark.parametrize("data", SERVICE_OF, ids=lambda data: data.__name__)
def test_channel_when_read_says_how_to_bind_to_it(described: dict[str, Any], data: type[EventData]) -> None:
    topic = f"{SERVICE_OF[data]}.{data.__name__}"

    channel, message = described["channels"][topic], message_of(described, topic)

    assert channel["description"] == data.__doc__
    exchange = channel["bindings"]["amqp"]["exchange"]
    assert (exchange["name"], exchange["type"], exchange["durable"]) == (EXCHANGE, "topic", True)
    assert described["operations"][topic]["bindings"]["amqp"]["deliveryMode"] == 2
    assert message["contentType"] == EVENT_MEDIA_TYPE
    assert list(message["headers"]["properties"]) == ["amends-after"]


def test_examples_when_counted_leave_out_no_public_event() -> None:
    assert {type(example) for example in EXAMPLES} == set(SERVICE_OF)


@pytest.mark.parametrize("sagaid", ["order-1", None])
@pytest.mark.parametrize("data", EXAMPLES, ids=lambda data: type(data).__name__)
def test_event_when_announced_fits_the_schema_of_its_message(
    described: dict[str, Any], data: EventData, sagaid: str | None
) -> None:
    event = announced(data, sagaid=sagaid)

    jsonschema_rs.validator_for(schema_of(described, event.routing_key)).validate(json.loads(event.to_json()))


@pytest.mark.parametrize(
    "broken", [{"type": "OrderConfirmed"}, {"data": {}}, {"source": "/services/payment"}, {"position": 0}]
)
def test_event_when_it_says_something_else_does_not_fit_the_schema(
    described: dict[str, Any], broken: dict[str, Any]
) -> None:
    event = announced(EXAMPLES[0], sagaid=None)

    told = {**json.loads(event.to_json()), **broken}

    assert not jsonschema_rs.is_valid(schema_of(described, event.routing_key), told)


def test_exchange_when_nobody_names_another_is_the_described_one() -> None:
    assert Wiring(feed_urls={}).exchange == EXCHANGE


def test_document_when_made_again_is_the_same() -> None:
    assert document() == document()


def announced(data: EventData, *, sagaid: str | None) -> PublicEvent:
    return PublicEvent.of(
        SERVICE_OF[type(data)],
        data,
        subject="order-1",
        time=datetime.now(UTC),
        causationid="order-1:step/Command",
        sagaid=sagaid,
        stream="order-1",
        streamversion=1,
        position=1,
        logid="log-1",
    )


def message_of(described: dict[str, Any], topic: str) -> dict[str, Any]:
    (reference,) = described["channels"][topic]["messages"].values()
    message: dict[str, Any] = described["components"]["messages"][reference["$ref"].rpartition("/")[2]]
    return message


def schema_of(described: dict[str, Any], topic: str) -> dict[str, Any]:
    """The payload's schema, with all that it refers to."""
    return {**message_of(described, topic)["payload"], "components": described["components"]}
