"""What a shipment is and which changes it allows. Pure: no I/O, no framework."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from contracts.commands import BookShipment, CancelShipment, DispatchShipment, Units
from contracts.orders import Address
from services.kernel.refusal import Refusal
from services.shipping.events import (
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentEvent,
    StockBooked,
    StockDispatched,
    StockEvent,
    StockReturned,
)
from services.shipping.stock import Stock

UNDELIVERABLE_COUNTRIES = frozenset({"AQ", "BV", "GS", "HM", "TF"})
"""Where no carrier goes: the Antarctic and its islands (ISO 3166-1 alpha-2)."""


class ShipmentStatus(StrEnum):
    NONE = "none"
    BOOKED = "booked"
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"


@dataclass(frozen=True, slots=True)
class Shipment:
    status: ShipmentStatus = ShipmentStatus.NONE
    saga_id: str | None = None
    """The saga that booked it, and alone may cancel or dispatch it."""
    units: tuple[Units, ...] = ()
    shipping_address: Address | None = None


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
    """`stock` holds every SKU of the command; one that was never received is out of stock."""
    if shipment.status in (ShipmentStatus.BOOKED, ShipmentStatus.DISPATCHED):
        return Refusal("SHIPMENT_ALREADY_BOOKED", f"order {command.order_id} has a shipment of {shipment.saga_id}")
    country = command.shipping_address.country
    if country in UNDELIVERABLE_COUNTRIES:
        return Refusal("UNDELIVERABLE_ADDRESS", f"no carrier delivers to {country}")
    units = units_of(command)
    missing = [
        f"{sku} ({quantity} of {stock[sku].on_hand})"
        for sku, quantity in units.items()
        if quantity > stock[sku].on_hand
    ]
    if missing:
        return Refusal("OUT_OF_STOCK", f"not enough on hand of {', '.join(missing)}")
    order_id = str(command.order_id)
    return Movement(
        ShipmentBooked(
            command.saga_id,
            tuple(Units(sku=sku, quantity=quantity) for sku, quantity in units.items()),
            command.shipping_address,
        ),
        {sku: StockBooked(order_id, quantity) for sku, quantity in units.items()},
    )


def cancel(shipment: Shipment, command: CancelShipment) -> Movement | Refusal | None:
    """Answers None where there is nothing left to cancel."""
    if shipment.status is ShipmentStatus.DISPATCHED:
        return Refusal("SHIPMENT_ALREADY_DISPATCHED", f"the shipment of order {command.order_id} has left the house")
    if not _is_booked_for(shipment, command.saga_id):
        return None
    order_id = str(command.order_id)
    return Movement(ShipmentCancelled(), {u.sku: StockReturned(order_id, u.quantity) for u in shipment.units})


def dispatch(shipment: Shipment, command: DispatchShipment) -> Movement | Refusal:
    if not _is_booked_for(shipment, command.saga_id):
        detail = f"the shipment of order {command.order_id} is {shipment.status}, not booked for {command.saga_id}"
        return Refusal("SHIPMENT_NOT_BOOKED", detail)
    order_id = str(command.order_id)
    return Movement(ShipmentDispatched(), {u.sku: StockDispatched(order_id, u.quantity) for u in shipment.units})


def evolve(shipment: Shipment, event: ShipmentEvent) -> Shipment:
    match event:
        case ShipmentBooked():
            return Shipment(ShipmentStatus.BOOKED, event.saga_id, event.units, event.shipping_address)
        case ShipmentCancelled():
            return replace(shipment, status=ShipmentStatus.CANCELLED)
        case ShipmentDispatched():
            return replace(shipment, status=ShipmentStatus.DISPATCHED)
        case _:
            assert_never(event)


def _is_booked_for(shipment: Shipment, saga_id: str) -> bool:
    return shipment.status is ShipmentStatus.BOOKED and shipment.saga_id == saga_id
