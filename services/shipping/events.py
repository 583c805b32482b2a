"""The facts of a shipment's life, and of the stock of one SKU."""

from dataclasses import dataclass

from contracts.commands import Units
from contracts.orders import Address


@dataclass(frozen=True, slots=True)
class ShipmentRequested:
    """The units are set aside, and a carrier was asked to fetch them. Private: nothing is booked yet."""

    saga_id: str
    units: tuple[Units, ...]
    """One entry for each SKU."""
    shipping_address: Address


@dataclass(frozen=True, slots=True)
class ShipmentBooked:
    saga_id: str
    units: tuple[Units, ...]
    """One entry for each SKU."""
    shipping_address: Address
    awaited: bool
    """Whether it was requested first, so that its saga waits for it. Since version 2."""


@dataclass(frozen=True, slots=True)
class ShipmentBookingRefused:
    """The carrier has declined what was requested; the units are back on the shelf."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ShipmentWithdrawn:
    """What was requested is not wanted any more, before the carrier has answered. Private: nothing was booked."""


@dataclass(frozen=True, slots=True)
class ShipmentCancelled:
    pass


@dataclass(frozen=True, slots=True)
class ShipmentDispatched:
    pass


@dataclass(frozen=True, slots=True)
class ShipmentRecalled:
    """What has left the house is to come back."""

    saga_id: str


@dataclass(frozen=True, slots=True)
class ShipmentRecallCancelled:
    pass


@dataclass(frozen=True, slots=True)
class ShipmentReturned:
    pass


@dataclass(frozen=True, slots=True)
class StockReceived:
    quantity: int
    delivery: str
    """With which delivery the units came. Since version 2."""


@dataclass(frozen=True, slots=True)
class StockBooked:
    """Units were taken off the shelf for an order."""

    order_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class StockReturned:
    """Units booked for an order are back on the shelf."""

    order_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class StockDispatched:
    """Units booked for an order have left the house."""

    order_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class StockTakenBack:
    """Units that had left the house for an order are back on the shelf."""

    order_id: str
    quantity: int


ShipmentEvent = (
    ShipmentRequested
    | ShipmentBooked
    | ShipmentBookingRefused
    | ShipmentWithdrawn
    | ShipmentCancelled
    | ShipmentDispatched
    | ShipmentRecalled
    | ShipmentRecallCancelled
    | ShipmentReturned
)
SHIPMENT_EVENTS = (
    ShipmentRequested,
    ShipmentBooked,
    ShipmentBookingRefused,
    ShipmentWithdrawn,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRecalled,
    ShipmentRecallCancelled,
    ShipmentReturned,
)
SHIPMENT_UPCASTERS = {"ShipmentBooked": (lambda booked: {**booked, "awaited": False},)}
StockEvent = StockReceived | StockBooked | StockReturned | StockDispatched | StockTakenBack
STOCK_EVENTS = (StockReceived, StockBooked, StockReturned, StockDispatched, StockTakenBack)
STOCK_UPCASTERS = {"StockReceived": (lambda received: {**received, "delivery": "unknown"},)}
