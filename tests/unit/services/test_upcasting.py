from dataclasses import dataclass

from services.kernel.aggregates import VERSION, Aggregate
from services.shipping.events import ShipmentBooked, StockReceived
from services.shipping.handlers import SHIPMENT, STOCK
from tests.support.builders import address


@dataclass(frozen=True, slots=True)
class Renamed:
    full_name: str
    language: str


PEOPLE: Aggregate[str, Renamed] = Aggregate(
    "",
    lambda _, event: event.full_name,
    (Renamed,),
    upcasters={
        "Renamed": (
            lambda first: {"full_name": f"{first['given']} {first['family']}"},
            lambda second: {**second, "language": "en"},
        )
    },
)


def test_event_when_stored_by_the_first_version_goes_through_all_upcasters() -> None:
    assert PEOPLE.decode("Renamed", {"given": "Ada", "family": "L."}) == Renamed("Ada L.", "en")


def test_event_when_stored_by_the_second_version_goes_through_the_last_upcaster_only() -> None:
    assert PEOPLE.decode("Renamed", {"full_name": "Ada L.", VERSION: 2}) == Renamed("Ada L.", "en")


def test_event_when_stored_today_comes_back_as_it_was() -> None:
    event = Renamed("Ada L.", "fr")

    name, stored = PEOPLE.encode(event)

    assert (name, stored[VERSION]) == ("Renamed", 3)
    assert PEOPLE.decode(name, stored) == event


def test_event_when_its_type_never_changed_is_stored_without_a_version() -> None:
    unchanged: Aggregate[str, Renamed] = Aggregate("", lambda _, event: event.full_name, (Renamed,))

    assert unchanged.encode(Renamed("Ada L.", "fr"))[1] == {"full_name": "Ada L.", "language": "fr"}


def test_stock_when_folded_from_events_of_both_versions_adds_up() -> None:
    stored = [("StockReceived", {"quantity": 7}), STOCK.encode(StockReceived(5, "delivery-2"))]

    assert STOCK.fold(stored, STOCK.initial).received == 12


def test_shipment_when_booked_before_carriers_answered_by_event_then_nobody_awaited_it() -> None:
    stored = {"saga_id": "order-1", "units": [{"sku": "MUG-1", "quantity": 2}], "shipping_address": dict(address())}

    booked = SHIPMENT.decode("ShipmentBooked", stored)

    assert isinstance(booked, ShipmentBooked)
    assert not booked.awaited
    assert SHIPMENT.fold([("ShipmentBooked", stored)], SHIPMENT.initial).saga_id == "order-1"
