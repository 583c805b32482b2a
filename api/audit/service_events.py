"""What the services' events say, as far as an audit reads them."""

from collections import Counter
from typing import TypeVar

from pydantic import ValidationError

from api.services import Read, StoredEvent, Stream

Fields = TypeVar("Fields", bound=Read)


def told(event: StoredEvent, fields: type[Fields]) -> Fields:
    """What the event says.

    Raises:
        UnreadableEvent: it does not say that.
    """
    try:
        return fields.model_validate(event.data)
    except ValidationError as error:
        raise UnreadableEvent(event) from error


def events_of(stream: Stream | None, *types: str) -> list[StoredEvent]:
    return [event for event in (stream.events if stream else ()) if event.type in types]


class UnreadableEvent(ValueError):
    """An event does not say what an event of its type must say."""

    def __init__(self, event: StoredEvent) -> None:
        super().__init__(f"{event.type} at position {event.position}")
        self.event = event


class PricedUnits(Read):
    sku: str
    quantity: int
    unit_price_minor: int


class Placed(Read):
    currency: str
    lines: tuple[PricedUnits, ...]

    @property
    def total_minor(self) -> int:
        return sum(line.quantity * line.unit_price_minor for line in self.lines)

    @property
    def units(self) -> Counter[str]:
        return Counter({line.sku: line.quantity for line in self.lines})


class Units(Read):
    sku: str
    quantity: int


class Booked(Read):
    units: tuple[Units, ...]

    @property
    def by_sku(self) -> Counter[str]:
        return Counter({unit.sku: unit.quantity for unit in self.units})


class Moved(Read):
    quantity: int
    order_id: str | None = None


class Authorized(Read):
    authorization: str
    amount_minor: int
    currency: str


class Refunded(Read):
    authorization: str
    amount_minor: int


class OfAuthorization(Read):
    authorization: str
