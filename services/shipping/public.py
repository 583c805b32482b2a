"""What the outside is told of a shipment's and of the stock's events. Addresses stay inside."""

from typing import assert_never

from contracts import events as public
from services.kernel.aggregates import Announcement
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
    StockReceived,
    StockReturned,
    StockTakenBack,
)

STOCK_PREFIX = "stock-"
"""With which the streams of stock start; the SKU follows."""


def announce_shipment(event: ShipmentEvent, stream: str) -> Announcement | None:
    data = _shipment(event)
    return Announcement(data, order_id=stream) if data else None


def announce_stock(event: StockEvent, stream: str) -> Announcement:
    sku = stream.removeprefix(STOCK_PREFIX)
    match event:
        case StockReceived():
            received = public.StockReceived(sku=sku, quantity=event.quantity, delivery=event.delivery)
            return Announcement(received, order_id=None)
        case StockBooked():
            return Announcement(public.StockBooked(sku=sku, quantity=event.quantity), event.order_id)
        case StockReturned():
            return Announcement(public.StockReturned(sku=sku, quantity=event.quantity), event.order_id)
        case StockDispatched():
            return Announcement(public.StockDispatched(sku=sku, quantity=event.quantity), event.order_id)
        case StockTakenBack():
            return Announcement(public.StockTakenBack(sku=sku, quantity=event.quantity), event.order_id)
        case _:
            assert_never(event)


def _shipment(event: ShipmentEvent) -> public.EventData | None:
    match event:
        case ShipmentRequested() | ShipmentWithdrawn():
            # The stock's events tell of the units. Of a shipment nobody hears before there is one.
            return None
        case ShipmentBooked():
            units = tuple(public.Unit(sku=unit.sku, quantity=unit.quantity) for unit in event.units)
            return public.ShipmentBooked(units=units, awaited=event.awaited)
        case ShipmentBookingRefused():
            return public.ShipmentBookingRefused(code=event.code, message=event.message)
        case ShipmentCancelled():
            return public.ShipmentCancelled()
        case ShipmentDispatched():
            return public.ShipmentDispatched()
        case ShipmentRecalled():
            return public.ShipmentRecalled()
        case ShipmentRecallCancelled():
            return public.ShipmentRecallCancelled()
        case ShipmentReturned():
            return public.ShipmentReturned()
        case _:
            assert_never(event)
