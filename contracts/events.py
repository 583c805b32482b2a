"""The public events: facts that a service announces to whoever cares, as CloudEvents 1.0.

A public event is a contract, unlike the event that is stored in the service: it may gain fields, and nobody who reads
it may mind. So those who read (unlike those who take commands) ignore what they do not know.
"""

import builtins
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.sagas import Cause

EVENTS_PATH = "/events"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
EVENT_MEDIA_TYPE = "application/cloudevents+json"
LOG_ID_HEADER = "Amends-Log-Id"
HEAD_HEADER = "Amends-Head"
"""Of a feed's answer: the position of the log's last event, 0 for an empty log."""
POSITION_HEADER = "Amends-Position"
"""Of a feed's answer: where to read on, also where the last events of a page are no public ones."""
LOG_REPLACED = "LOG_REPLACED"
"""409: the log that the reader followed is not this one, or it was put back to an earlier state."""


class EventData(BaseModel):
    """What a public event says. Named as the event's type; what is unknown is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class OrderLine(EventData):
    sku: str
    quantity: int
    unit_price_minor: int


class OrderPlaced(EventData):
    """An order was taken, and is pending until its saga confirms or rejects it."""

    customer_id: str
    currency: str
    total_minor: int
    lines: tuple[OrderLine, ...]


class OrderConfirmed(EventData):
    """The order will be fulfilled."""


class OrderRejected(EventData):
    """The order will not be fulfilled, and leaves nothing behind."""

    cause: Cause


class ReturnOpened(EventData):
    """The order is to be returned: its return saga alone may change it until that is closed or withdrawn."""


class ReturnWithdrawn(EventData):
    """The order is not returned after all; it is what it was before."""


class OrderReturned(EventData):
    """The order came back, and its price was paid back."""


class PaymentAuthorized(EventData):
    """The payment gateway holds the amount for us."""

    authorization: str
    amount_minor: int
    currency: str


class PaymentVoided(EventData):
    """The held amount was let go."""

    authorization: str


class PaymentExpired(EventData):
    """The gateway let go of the held amount by itself."""

    authorization: str


class PaymentCaptured(EventData):
    """The held amount was taken."""

    authorization: str


class PaymentRefunded(EventData):
    """An amount that had been taken was paid back."""

    authorization: str
    amount_minor: int


class Unit(EventData):
    sku: str
    quantity: int


class ShipmentBooked(EventData):
    """A carrier will fetch the units that were set aside for an order."""

    units: tuple[Unit, ...]
    awaited: bool = False
    """Whether its saga waits for this event, because the booking was only accepted at first."""


class ShipmentBookingRefused(EventData):
    """No carrier will fetch the units, whose booking was accepted at first; they are back on the shelf."""

    code: str
    message: str
    awaited: bool = True
    """Its saga waits for this event."""


class ShipmentCancelled(EventData):
    """The shipment will not happen; its units are back on the shelf."""


class ShipmentDispatched(EventData):
    """The shipment has left the house."""


class ShipmentRecalled(EventData):
    """The shipment that had left the house is to come back."""


class ShipmentRecallCancelled(EventData):
    """The shipment stays with the customer after all."""


class ShipmentReturned(EventData):
    """The shipment came back; its units are back on the shelf."""


class StockReceived(EventData):
    """New units came in."""

    sku: str
    quantity: int
    delivery: str
    """With which delivery they came: the idempotency key of the command that received them."""


class StockBooked(EventData):
    """Units were taken off the shelf for an order."""

    sku: str
    quantity: int


class StockReturned(EventData):
    """Units booked for an order are back on the shelf."""

    sku: str
    quantity: int


class StockDispatched(EventData):
    """Units booked for an order have left the house."""

    sku: str
    quantity: int


class StockTakenBack(EventData):
    """Units that had left the house for an order are back on the shelf."""

    sku: str
    quantity: int


PUBLIC_EVENTS: Mapping[str, tuple[type[EventData], ...]] = {
    "order": (OrderPlaced, OrderConfirmed, OrderRejected, ReturnOpened, ReturnWithdrawn, OrderReturned),
    "payment": (PaymentAuthorized, PaymentVoided, PaymentExpired, PaymentCaptured, PaymentRefunded),
    "shipping": (
        ShipmentBooked,
        ShipmentBookingRefused,
        ShipmentCancelled,
        ShipmentDispatched,
        ShipmentRecalled,
        ShipmentRecallCancelled,
        ShipmentReturned,
        StockReceived,
        StockBooked,
        StockReturned,
        StockDispatched,
        StockTakenBack,
    ),
}
"""Every public event, by the service that announces it."""

D = TypeVar("D", bound=EventData)


class PublicEvent(BaseModel):
    """One fact, in the CloudEvents 1.0 envelope. It has no destination."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(min_length=1)]
    """Unique within its source, and the same whenever it is announced again: `stream:version`."""
    source: Annotated[str, Field(min_length=1)]
    """The service that it comes from: `/services/order`."""
    type: Annotated[str, Field(min_length=1)]
    subject: str
    """The order that it is about; the stream, for an event that is about none."""
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    sagaid: str | None = None
    causationid: str
    """The command that led to it: `idempotency key/name`."""
    stream: str
    streamversion: Annotated[int, Field(ge=1)]
    """Its place in the stream, gapless from 1."""
    position: Annotated[int, Field(ge=1)]
    """Its place in the service's log; they grow, with gaps."""
    logid: str
    data: dict[str, Any]

    @property
    def service(self) -> str:
        return service_of(self.source)

    @property
    def routing_key(self) -> str:
        """Its topic at a broker: `order.OrderPlaced`."""
        return f"{self.service}.{self.type}"

    def read(self, data: builtins.type[D]) -> D:
        """What it says.

        Raises:
            ValidationError: it does not say that.
        """
        return data.model_validate(self.data)

    def to_json(self) -> str:
        """As CloudEvents has it: attributes that are absent are left out."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def of(
        cls,
        service: str,
        data: EventData,
        *,
        subject: str,
        time: datetime,
        causationid: str,
        sagaid: str | None,
        stream: str,
        streamversion: int,
        position: int,
        logid: str,
    ) -> "PublicEvent":
        """The envelope around what a service announces."""
        return cls.model_construct(
            id=f"{stream}:{streamversion}",
            source=source_of(service),
            type=type(data).__name__,
            subject=subject,
            time=time,
            sagaid=sagaid,
            causationid=causationid,
            stream=stream,
            streamversion=streamversion,
            position=position,
            logid=logid,
            data=data.model_dump(mode="json"),
        )


def source_of(service: str) -> str:
    return f"/services/{service}"


def service_of(source: str) -> str:
    return source.removeprefix("/services/")
