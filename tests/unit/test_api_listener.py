"""Which events the listener tells to which sagas, and what it does where it cannot."""

import asyncio
from typing import Any

import pytest

from api.listener import Listener, services_followed
from api.temporal import SagaOver, TemporalUnavailable
from contracts import events as public
from contracts.events import EventData, PublicEvent
from contracts.wire import StepOutcome
from messaging.port import NotNow
from tests.support.event_logs import Logs
from workflows.definitions import DEFINITIONS

BOOKED = public.ShipmentBooked(units=(), awaited=True)
DONE = StepOutcome(step="book_shipment", event="ShipmentBooked")


class SagasOnPaper:
    """Implements `Sagas`; remembers who was told what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, StepOutcome]] = []
        self.over: set[str] = set()
        self.away: set[str] = set()
        """Sagas that cannot be reached."""
        self.at_once = 0
        self.most_at_once = 0

    async def tell(self, saga_id: str, outcome: StepOutcome) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if saga_id in self.away:
            raise TemporalUnavailable("Temporal cannot be reached")
        if saga_id in self.over:
            raise SagaOver(saga_id)
        self.told.append((saga_id, outcome))


def announced(fact: EventData, *, service: str = "shipping", stream: str = "1", **changes: Any) -> PublicEvent:
    return Logs().add(service, fact, stream=stream).model_copy(update=changes)


async def told_of(*events: PublicEvent) -> list[tuple[str, StepOutcome]]:
    sagas = SagasOnPaper()
    await Listener(DEFINITIONS, sagas).deliver(events)
    return sagas.told


def test_services_when_of_the_order_saga_are_those_that_announce_what_it_waits_for() -> None:
    assert services_followed(DEFINITIONS) == ("shipping",)


async def test_event_when_a_saga_waits_for_it_is_told_to_it() -> None:
    assert await told_of(announced(BOOKED)) == [("order-1", DONE)]


async def test_refusal_when_a_saga_waits_for_it_is_told_with_its_code() -> None:
    refused = public.ShipmentBookingRefused(code="UNDELIVERABLE_ADDRESS", message="no carrier delivers to AQ")

    ((_, outcome),) = await told_of(announced(refused))

    assert outcome == StepOutcome(
        step="book_shipment",
        event="ShipmentBookingRefused",
        refusal="UNDELIVERABLE_ADDRESS",
        message="no carrier delivers to AQ",
    )


@pytest.mark.parametrize(
    "event",
    [
        announced(public.ShipmentBooked(units=())),
        announced(BOOKED, data={"units": []}),
        announced(BOOKED, sagaid=None),
        announced(BOOKED, service="order"),
        announced(public.ShipmentCancelled()),
        announced(BOOKED, type="ShipmentGiftWrapped"),
    ],
    ids=["done at once", "older than the field", "of no saga", "another service's", "another type", "unknown type"],
)
async def test_event_when_no_saga_waits_for_it_is_told_to_none(event: PublicEvent) -> None:
    assert await told_of(event) == []


async def test_event_when_it_is_not_readable_holds_up_no_other() -> None:
    unreadable = announced(public.ShipmentBookingRefused(code="X", message=""), data={"awaited": True})

    assert await told_of(unreadable, announced(BOOKED, stream="2")) == [("order-2", DONE)]


async def test_saga_when_it_is_over_holds_up_no_other() -> None:
    sagas = SagasOnPaper()
    sagas.over = {"order-1"}

    await Listener(DEFINITIONS, sagas).deliver([announced(BOOKED), announced(BOOKED, stream="2")])

    assert sagas.told == [("order-2", DONE)]


async def test_temporal_when_it_is_away_then_not_now_and_the_others_were_told() -> None:
    sagas = SagasOnPaper()
    sagas.away = {"order-1"}

    with pytest.raises(NotNow):
        await Listener(DEFINITIONS, sagas).deliver([announced(BOOKED), announced(BOOKED, stream="2")])

    assert sagas.told == [("order-2", DONE)]


async def test_events_when_they_are_many_are_told_side_by_side_within_a_limit() -> None:
    sagas = SagasOnPaper()

    await Listener(DEFINITIONS, sagas).deliver([announced(BOOKED, stream=str(n)) for n in range(100)])

    assert len(sagas.told) == 100
    assert 1 < sagas.most_at_once <= 20
