"""What a shipment is and which changes it allows. Pure: no I/O, no framework."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from contracts.commands import (
    BookShipment,
    CancelRecall,
    CancelShipment,
    DispatchShipment,
    RecallShipment,
    ReceiveShipment,
    Units,
)
from contracts.orders import Address, Carrier
from services.kernel.refusal import Refusal
from services.shipping.events import (
    ShipmentBooked,
    ShipmentBookingRefused,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentRecallCancelled,
    ShipmentRecalled,
    ShipmentRequested,
    ShipmentReturned,
    ShipmentWithdrawn,
    StockBooked,
    StockDispatched,
    StockEvent,
    StockReturned,
    StockTakenBack,
)
from services.shipping.stock import Stock

UNDELIVERABLE_COUNTRIES = frozenset({"AQ", "BV", "GS", "HM", "TF"})
"""Where no carrier goes: the Antarctic and its islands (ISO 3166-1 alpha-2)."""


class ShipmentStatus(StrEnum):
    NONE = "none"
    REQUESTED = "requested"
    """A carrier was asked and has not answered; the units are set aside."""
    BOOKED = "booked"
    REFUSED = "refused"
    """The carrier has declined what was requested."""
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"
    RECALLED = "recalled"
    """Dispatched, and to come back."""
    RETURNED = "returned"


_LEFT_THE_HOUSE = (ShipmentStatus.DISPATCHED, ShipmentStatus.RECALLED, ShipmentStatus.RETURNED)


@dataclass(frozen=True, slots=True)
class Shipment:
    status: ShipmentStatus = ShipmentStatus.NONE
    saga_id: str | None = None
    """The saga that requested or booked it, and alone may cancel or dispatch it."""
    units: tuple[Units, ...] = ()
    shipping_address: Address | None = None
    recalled_by: str | None = None
    """The saga that takes it back, or has, and alone may receive it."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What changes together: the shipment, and the stock of each of its SKUs."""

    shipment: ShipmentEvent
    stock: Mapping[str, StockEvent]


def units_of(command: BookShipment) -> dict[str, int]:
    """How many units of each SKU, added up."""
    units: Counter[str] = Counter()
    for line in command.lines:
        units[line.sku] += line.quantity
    return dict(units)


def book(shipment: Shipment, stock: Mapping[str, Stock], command: BookShipment) -> Movement | Refusal:
    """`stock` holds every SKU of the command; one that was never received is out of stock.

    A carrier that answers by event is only requested: the stock is taken at once, and `conclude` does the rest.
    """
    if shipment.status in (ShipmentStatus.REQUESTED, ShipmentStatus.BOOKED, *_LEFT_THE_HOUSE):
        return Refusal("SHIPMENT_ALREADY_BOOKED", f"order {command.order_id} has a shipment of {shipment.saga_id}")
    by_event = command.carrier is Carrier.BY_EVENT
    declined = None if by_event else answer_for(command.shipping_address)
    if declined:
        return declined
    units = units_of(command)
    missing = [
        f"{sku} ({quantity} of {stock[sku].on_hand})"
        for sku, quantity in units.items()
        if quantity > stock[sku].on_hand
    ]
    if missing:
        return Refusal("OUT_OF_STOCK", f"not enough on hand of {', '.join(missing)}")
    order_id = str(command.order_id)
    contents = tuple(Units(sku=sku, quantity=quantity) for sku, quantity in units.items())
    return Movement(
        ShipmentRequested(command.saga_id, contents, command.shipping_address)
        if by_event
        else ShipmentBooked(command.saga_id, contents, command.shipping_address, awaited=False),
        {sku: StockBooked(order_id, quantity) for sku, quantity in units.items()},
    )


def answer_for(address: Address) -> Refusal | None:
    """What carriers say to an address; None if they deliver there."""
    if address.country in UNDELIVERABLE_COUNTRIES:
        return Refusal("UNDELIVERABLE_ADDRESS", f"no carrier delivers to {address.country}")
    return None


def conclude(shipment: Shipment, order_id: str, declined: Refusal | None) -> Movement:
    """What becomes of a requested shipment by the carrier's answer: None if it will fetch the units.

    Raises:
        ValueError: nothing is requested. The barrier lets no answer through then.
    """
    if shipment.status is not ShipmentStatus.REQUESTED or shipment.saga_id is None or shipment.shipping_address is None:
        raise ValueError(f"the shipment of order {order_id} is {shipment.status}, expected a requested one")
    if declined:
        return Movement(ShipmentBookingRefused(declined.code, declined.message), _returned(shipment, order_id))
    return Movement(ShipmentBooked(shipment.saga_id, shipment.units, shipment.shipping_address, awaited=True), {})


def cancel(shipment: Shipment, command: CancelShipment) -> Movement | Refusal | None:
    """Answers None where there is nothing left to cancel."""
    if shipment.status in _LEFT_THE_HOUSE:
        return Refusal("SHIPMENT_ALREADY_DISPATCHED", f"the shipment of order {command.order_id} has left the house")
    if shipment.saga_id != command.saga_id:
        return None
    returned = _returned(shipment, str(command.order_id))
    match shipment.status:
        case ShipmentStatus.REQUESTED:
            return Movement(ShipmentWithdrawn(), returned)
        case ShipmentStatus.BOOKED:
            return Movement(ShipmentCancelled(), returned)
        case _:
            return None


def dispatch(shipment: Shipment, command: DispatchShipment) -> Movement | Refusal:
    if shipment.status is not ShipmentStatus.BOOKED or shipment.saga_id != command.saga_id:
        detail = f"the shipment of order {command.order_id} is {shipment.status}, not booked for {command.saga_id}"
        return Refusal("SHIPMENT_NOT_BOOKED", detail)
    order_id = str(command.order_id)
    return Movement(ShipmentDispatched(), {u.sku: StockDispatched(order_id, u.quantity) for u in shipment.units})


def recall(shipment: Shipment, command: RecallShipment) -> Movement | Refusal:
    match shipment.status:
        case ShipmentStatus.DISPATCHED:
            return Movement(ShipmentRecalled(command.saga_id), {})
        case ShipmentStatus.RECALLED:
            detail = f"the shipment of order {command.order_id} is being recalled by {shipment.recalled_by}"
            return Refusal("RECALL_UNDER_WAY", detail)
        case ShipmentStatus.RETURNED:
            detail = f"the shipment of order {command.order_id} came back, recalled by {shipment.recalled_by}"
            return Refusal("ALREADY_RETURNED", detail)
        case _:
            detail = f"the shipment of order {command.order_id} is {shipment.status}, not dispatched"
            return Refusal("SHIPMENT_NOT_DISPATCHED", detail)


def cancel_recall(shipment: Shipment, command: CancelRecall) -> Movement | Refusal | None:
    """Answers None where this saga has recalled nothing."""
    if shipment.recalled_by != command.saga_id:
        return None
    if shipment.status is ShipmentStatus.RETURNED:
        return Refusal("SHIPMENT_ALREADY_RETURNED", f"the shipment of order {command.order_id} has come back")
    return Movement(ShipmentRecallCancelled(), {})


def receive(shipment: Shipment, command: ReceiveShipment) -> Movement | Refusal:
    if shipment.status is not ShipmentStatus.RECALLED or shipment.recalled_by != command.saga_id:
        detail = f"the shipment of order {command.order_id} is {shipment.status}, not recalled by {command.saga_id}"
        return Refusal("SHIPMENT_NOT_RECALLED", detail)
    order_id = str(command.order_id)
    return Movement(ShipmentReturned(), {u.sku: StockTakenBack(order_id, u.quantity) for u in shipment.units})


def evolve(shipment: Shipment, event: ShipmentEvent) -> Shipment:
    match event:
        case ShipmentRequested():
            return Shipment(ShipmentStatus.REQUESTED, event.saga_id, event.units, event.shipping_address)
        case ShipmentBooked():
            return Shipment(ShipmentStatus.BOOKED, event.saga_id, event.units, event.shipping_address)
        case ShipmentBookingRefused():
            return replace(shipment, status=ShipmentStatus.REFUSED)
        case ShipmentWithdrawn() | ShipmentCancelled():
            return replace(shipment, status=ShipmentStatus.CANCELLED)
        case ShipmentDispatched():
            return replace(shipment, status=ShipmentStatus.DISPATCHED)
        case ShipmentRecalled():
            return replace(shipment, status=ShipmentStatus.RECALLED, recalled_by=event.saga_id)
        case ShipmentRecallCancelled():
            return replace(shipment, status=ShipmentStatus.DISPATCHED, recalled_by=None)
        case ShipmentReturned():
            return replace(shipment, status=ShipmentStatus.RETURNED)
        case _:
            assert_never(event)


def _returned(shipment: Shipment, order_id: str) -> Mapping[str, StockEvent]:
    return {unit.sku: StockReturned(order_id, unit.quantity) for unit in shipment.units}
