"""Describes the public events as an AsyncAPI 3.0 document: what OpenAPI is to requests, this is to events.

It is made of the contracts themselves, so it cannot fall behind them, and needs no broker.
"""

import json
from typing import Any, Literal

from faststream.rabbit import RabbitBroker
from faststream.rabbit.publisher import RabbitPublisher as DescribedEvent
from faststream.specification import AsyncAPI
from pydantic import create_model

from contracts.events import EVENT_MEDIA_TYPE, PUBLIC_EVENTS, EventData, PublicEvent, source_of
from messaging.names import EXCHANGE
from messaging.rabbit.connection import exchange_named
from messaging.rabbit.publisher import AFTER_HEADER

ASYNCAPI_VERSION = "3.0.0"
_DESCRIPTION = """\
Facts that the services announce, as CloudEvents 1.0 in JSON. Each service's events come in the order of its log, at
least once: whoever consumes them remembers the `position` up to which it has taken them. An event that says to follow
another position than that one was not the next: what lies between is to be read from the service's feed, `GET /events`.
Events gain fields; ignore those that you do not know."""
_HEADERS = {
    "type": "object",
    "required": [AFTER_HEADER],
    "properties": {
        AFTER_HEADER: {
            "type": "integer",
            "minimum": 0,
            "description": "The position of the public event before this one in the same log, 0 for the first.",
        }
    },
}


def document(*, exchange: str = EXCHANGE) -> str:
    """The document as JSON, the same whenever the contracts are."""
    broker = RabbitBroker("amqp://rabbitmq:5672/", logger=None, description="Any RabbitMQ, from 3.10 on.")
    # The broker itself holds them weakly.
    described = [
        _describe(broker, exchange, service, data) for service, events in PUBLIC_EVENTS.items() for data in events
    ]
    api = AsyncAPI(
        broker,
        title="Amends: public events",
        version="1",
        description=_DESCRIPTION,
        schema_version=ASYNCAPI_VERSION,
    )
    specification: dict[str, Any] = json.loads(api.to_specification().to_json())
    assert len(specification["channels"]) == len(described)  # noqa: S101 - two events of one name would be one channel
    for message in specification["components"]["messages"].values():
        message["contentType"] = EVENT_MEDIA_TYPE
        message["headers"] = _HEADERS
    return json.dumps(specification, indent=2, sort_keys=True)


def envelope_of(service: str, data: type[EventData]) -> type[PublicEvent]:
    """The CloudEvents envelope of just this event, with what it says."""
    name = data.__name__
    fields: dict[str, Any] = {
        "specversion": (Literal["1.0"], ...),
        "type": (Literal[name], ...),
        "source": (Literal[source_of(service)], ...),
        "data": (data, ...),
    }
    envelope: type[PublicEvent] = create_model(f"{name}Event", __base__=PublicEvent, __doc__=data.__doc__, **fields)
    return envelope


def _describe(broker: RabbitBroker, exchange: str, service: str, data: type[EventData]) -> DescribedEvent:
    topic = f"{service}.{data.__name__}"
    return broker.publisher(
        routing_key=topic,
        exchange=exchange_named(exchange),
        mandatory=False,
        persist=True,
        title=topic,
        description=data.__doc__,
        schema=envelope_of(service, data),
    )
