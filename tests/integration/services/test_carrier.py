"""A booking whose carrier answers by event: accepted at first, concluded once, and never after it was undone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from contracts.orders import Carrier
from contracts.wire import ALREADY_COMPENSATED
from services.kernel.database import Database
from services.kernel.event_log import Snapshots
from services.kernel.executor import Executor
from services.kernel.keeping_up import running
from services.kernel.refusal import Refusal
from services.kernel.under_way import commands_under_way
from services.shipping.app import create_app
from services.shipping.carrier import CarrierDesk, CarrierSimulator, Parcel
from services.shipping.handlers import BOOK_SHIPMENT, conclude_booking
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.service_process import service_process
from tests.support.stock import receive, stock_of

NEVER_S = 3600.0
SOON_S = 0.05

SHELF = (5, 5, 0, 0)
SET_ASIDE = (5, 3, 2, 0)
"""Received, on hand, booked, dispatched: before and after a request of two."""


class Booking:
    """One saga's booking of two units of a SKU of its own, of which five came in."""

    def __init__(self, shipping: Service, sku: str, *, country: str = "DE") -> None:
        self.saga = SagaAt(shipping)
        self.sku = sku
        self.command = self.saga.commands.book_shipment((sku, 2), country=country, carrier=Carrier.BY_EVENT)

    async def ask(self) -> str:
        """The booking's outcome, as the same command again is told it."""
        return await self.saga.outcome(self.command)

    async def cancel(self) -> str:
        return await self.saga.outcome(self.saga.commands.cancel_shipment())

    async def becomes(self, outcome: str, *, within_s: float = 10) -> None:
        async def is_so() -> bool:
            assert await self.ask() == outcome
            return True

        await eventually(is_so, within_s=within_s)

    async def shelf(self) -> tuple[int, ...]:
        return tuple((await stock_of(self.saga.service, self.sku)).values())

    async def status(self) -> str:
        return str((await self.saga.service.stream(self.saga.order_id))["state"]["status"])

    async def announced(self) -> list[dict[str, Any]]:
        """The public events of the shipment itself."""
        feed = (await self.saga.service.http.get("/events", params={"limit": 1000})).json()
        return [event for event in feed if event["stream"] == self.saga.order_id]


async def booking(shipping: Service, *, country: str = "DE") -> Booking:
    return Booking(shipping, await receive(shipping, 5), country=country)


class ShippingReplicas:
    """Shipping services on one database, each with a carrier that takes so long."""

    def __init__(self, databases: Databases) -> None:
        self.url = databases.url("shipping")

    def with_carrier(self, delay_s: float) -> AbstractAsyncContextManager[Service]:
        app = create_app(database_url=self.url, stock_file=None, fault_injection=True, carrier_delay_s=delay_s)
        return in_memory(app)


@pytest.fixture
def replicas(databases: Databases) -> ShippingReplicas:
    return ShippingReplicas(databases)


@pytest.fixture
async def silent(replicas: ShippingReplicas) -> AsyncIterator[Service]:
    """A service whose carrier does not answer as long as any test lasts."""
    async with replicas.with_carrier(NEVER_S) as service:
        yield service


@pytest.fixture
async def quick(replicas: ShippingReplicas) -> AsyncIterator[Service]:
    async with replicas.with_carrier(SOON_S) as service:
        yield service


class TestAccepted:
    async def test_booking_when_the_carrier_is_silent_then_it_is_accepted_and_the_stock_taken(
        self, silent: Service
    ) -> None:
        booked = await booking(silent)

        first, again = await booked.saga.send(booked.command), await booked.saga.send(booked.command)

        assert first.json() == {"outcome": "accepted", "events": [{"type": "ShipmentRequested", "version": 1}]}
        assert again.content == first.content
        assert (await booked.shelf(), await booked.status()) == (SET_ASIDE, "requested")
        assert await booked.announced() == []

    async def test_booking_when_sent_20_times_at_once_then_it_is_requested_once(self, silent: Service) -> None:
        booked = await booking(silent)

        outcomes = await asyncio.gather(*(booked.ask() for _ in range(20)))

        assert set(outcomes) == {"accepted"}
        assert await booked.saga.events() == ["ShipmentRequested"]

    async def test_booking_when_out_of_stock_then_it_is_refused_at_once(self, silent: Service) -> None:
        saga = SagaAt(silent)
        sku = await receive(silent, 1)

        assert await saga.outcome(saga.commands.book_shipment((sku, 2), carrier=Carrier.BY_EVENT)) == "OUT_OF_STOCK"
        assert await saga.events() == []

    async def test_dispatch_when_the_carrier_is_silent_then_nothing_leaves(self, silent: Service) -> None:
        booked = await booking(silent)
        await booked.ask()

        assert await booked.saga.outcome(booked.saga.commands.dispatch_shipment()) == "SHIPMENT_NOT_BOOKED"
        assert await booked.shelf() == SET_ASIDE


class TestConcluded:
    async def test_carrier_when_it_will_fetch_the_units_then_the_booking_is_done(self, quick: Service) -> None:
        booked = await booking(quick)

        assert await booked.ask() == "accepted"
        await booked.becomes("done")

        assert (await booked.saga.send(booked.command)).json()["events"] == [
            {"type": "ShipmentRequested", "version": 1},
            {"type": "ShipmentBooked", "version": 2},
        ]
        (event,) = await booked.announced()
        assert (event["type"], event["sagaid"]) == ("ShipmentBooked", booked.saga.commands.saga_id)
        assert event["data"] == {"units": [{"sku": booked.sku, "quantity": 2}], "awaited": True}
        assert event["causationid"] == f"{booked.saga.commands.saga_id}:book_shipment/BookShipment"
        assert await booked.shelf() == SET_ASIDE

    async def test_shipment_when_booked_by_event_then_it_can_be_dispatched_or_cancelled(self, quick: Service) -> None:
        kept, returned = await booking(quick), await booking(quick)
        for one in (kept, returned):
            await one.ask()
            await one.becomes("done")

        assert await kept.saga.outcome(kept.saga.commands.dispatch_shipment()) == "done"
        assert await returned.cancel() == "done"

        assert (await kept.shelf(), await returned.shelf()) == ((5, 3, 0, 2), SHELF)
        assert [event["type"] for event in await returned.announced()] == ["ShipmentBooked", "ShipmentCancelled"]

    async def test_carrier_when_it_declines_then_the_booking_is_refused_for_good(self, quick: Service) -> None:
        booked = await booking(quick, country="AQ")

        assert await booked.ask() == "accepted"
        await booked.becomes("UNDELIVERABLE_ADDRESS")

        (event,) = await booked.announced()
        assert event["type"] == "ShipmentBookingRefused"
        assert event["data"]["code"] == "UNDELIVERABLE_ADDRESS"
        assert event["data"]["awaited"]
        assert await booked.shelf() == SHELF
        assert (await booked.cancel(), await booked.ask()) == ("nothing_to_undo", ALREADY_COMPENSATED)
        assert await booked.saga.events() == ["ShipmentRequested", "ShipmentBookingRefused"]

    async def test_carrier_when_it_answers_at_once_then_no_event_is_awaited(self, quick: Service) -> None:
        saga = SagaAt(quick)
        sku = await receive(quick, 5)

        assert await saga.outcome(saga.commands.book_shipment((sku, 2))) == "done"
        assert await saga.events() == ["ShipmentBooked"]
        assert not (await quick.stream(saga.order_id))["events"][0]["data"]["awaited"]


class TestUndone:
    async def test_cancel_when_the_carrier_is_silent_then_the_stock_is_back_and_nothing_was_announced(
        self, silent: Service
    ) -> None:
        booked = await booking(silent)
        await booked.ask()

        assert (await booked.cancel(), await booked.cancel()) == ("done", "done")

        assert await booked.shelf() == SHELF
        assert await booked.saga.events() == ["ShipmentRequested", "ShipmentWithdrawn"]
        assert await booked.announced() == []
        assert await booked.ask() == ALREADY_COMPENSATED

    async def test_answer_when_the_booking_was_cancelled_then_it_is_dropped(
        self, silent: Service, replicas: ShippingReplicas
    ) -> None:
        booked = await booking(silent)
        await booked.ask()
        await booked.cancel()

        with closing(Database(replicas.url)) as database:
            answer = await an_executor(database).conclude(
                BOOK_SHIPMENT, booked.saga.commands.key_of(booked.command), bug
            )

        assert answer is None
        assert await booked.saga.events() == ["ShipmentRequested", "ShipmentWithdrawn"]

    async def test_cancel_when_it_came_before_the_booking_then_nothing_is_requested(self, silent: Service) -> None:
        booked = await booking(silent)

        assert (await booked.cancel(), await booked.ask()) == ("nothing_to_undo", ALREADY_COMPENSATED)
        assert (await booked.saga.events(), await booked.shelf()) == ([], SHELF)

    async def test_cancel_and_answer_when_they_race_then_one_of_them_wins_and_the_stock_is_right(
        self, quick: Service
    ) -> None:
        bookings = [await booking(quick) for _ in range(10)]

        async def book_and_cancel(booked: Booking, after_s: float) -> str:
            await booked.ask()
            await asyncio.sleep(after_s)  # not to wait for anything: cancels are to fall before and after the answer
            return await booked.cancel()

        undone = await asyncio.gather(*(book_and_cancel(one, n * SOON_S / 5) for n, one in enumerate(bookings)))

        assert undone == ["done"] * len(bookings)
        for booked in bookings:
            assert tuple(await booked.saga.events()) in {
                ("ShipmentRequested", "ShipmentWithdrawn"),
                ("ShipmentRequested", "ShipmentBooked", "ShipmentCancelled"),
            }
            assert await booked.shelf() == SHELF


class TestReplicas:
    async def test_carrier_when_two_replicas_ask_it_then_one_answer_counts(self, replicas: ShippingReplicas) -> None:
        async with replicas.with_carrier(SOON_S) as first, replicas.with_carrier(SOON_S):
            bookings = [await booking(first) for _ in range(10)]
            await asyncio.gather(*(one.ask() for one in bookings))

            for booked in bookings:
                await booked.becomes("done")

            for booked in bookings:
                assert await booked.saga.events() == ["ShipmentRequested", "ShipmentBooked"]

    async def test_carrier_when_the_replica_that_accepted_is_gone_then_another_asks(
        self, replicas: ShippingReplicas
    ) -> None:
        async with replicas.with_carrier(NEVER_S) as gone:
            booked = await booking(gone)
            await booked.ask()

        async with replicas.with_carrier(SOON_S) as another:
            booked.saga = SagaAt(another, booked.saga.commands)

            await booked.becomes("done")

    @pytest.mark.integration
    async def test_carrier_when_the_service_is_killed_meanwhile_then_it_answers_the_next_one(
        self, replicas: ShippingReplicas
    ) -> None:
        arguments = {"database_url": replicas.url, "stock_file": None, "fault_injection": False}
        async with service_process("shipping", **arguments, carrier_delay_s=NEVER_S) as killed:
            booked = await booking(killed.service)
            assert await booked.ask() == "accepted"
            await killed.kill()

        async with service_process("shipping", **arguments, carrier_delay_s=SOON_S) as next_one:
            booked.saga = SagaAt(next_one.service, booked.saga.commands)
            await booked.becomes("done")
            assert await booked.shelf() == SET_ASIDE


class FailingCarrier:
    """Fails at first, and then will fetch everything."""

    delay = timedelta(0)

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[Parcel] = []

    async def answer(self, parcel: Parcel) -> Refusal | None:
        self.asked.append(parcel)
        if len(self.asked) <= self.failures:
            raise ConnectionError("the carrier is away")
        return None


Answering = Callable[[], Awaitable[Refusal | None]]


async def raises() -> Refusal | None:
    raise ConnectionError("the carrier is away")


async def answers_what_is_not_declared() -> Refusal | None:
    return Refusal("TOO_HEAVY", "nobody can lift it")


async def does_not_answer() -> Refusal | None:
    await asyncio.sleep(NEVER_S)
    return None


class SelectiveCarrier:
    """Fails at some parcels, always."""

    delay = timedelta(0)

    def __init__(self, fails_at: set[str], fails: Answering) -> None:
        self._fails_at = fails_at
        self._fails = fails

    async def answer(self, parcel: Parcel) -> Refusal | None:
        return await self._fails() if parcel.key in self._fails_at else None


class TestDesk:
    async def test_desk_when_the_carrier_fails_then_the_booking_goes_on_waiting(
        self, silent: Service, replicas: ShippingReplicas
    ) -> None:
        booked = await booking(silent)
        await booked.ask()
        carrier = FailingCarrier(failures=1)

        with closing(Database(replicas.url)) as database:
            async with running(partial(CarrierDesk(database, carrier).run, an_executor(database))):
                await booked.becomes("done")

        key = booked.saga.commands.key_of(booked.command)
        assert [(parcel.key, parcel.units[0].sku) for parcel in carrier.asked] == [(key, booked.sku)] * 2

    @pytest.mark.parametrize("fails", [raises, answers_what_is_not_declared, does_not_answer])
    @pytest.mark.parametrize("failing", [1, 60])
    async def test_desk_when_the_carrier_fails_at_parcels_then_the_others_are_answered(
        self, silent: Service, replicas: ShippingReplicas, failing: int, fails: Answering
    ) -> None:
        bad = [await booking(silent) for _ in range(failing)]
        for one in bad:
            await one.ask()
        good = await booking(silent)
        await good.ask()
        carrier = SelectiveCarrier({one.saga.commands.key_of(one.command) for one in bad}, fails)

        with closing(Database(replicas.url)) as database:
            desk = CarrierDesk(database, carrier, answer_within_s=0.2)
            async with running(partial(desk.run, an_executor(database))):
                await good.becomes("done")

        assert await bad[0].ask() == "accepted"

    async def test_conclusion_when_its_refusal_is_none_that_the_command_declares_then_nothing_happens(
        self, silent: Service, replicas: ShippingReplicas
    ) -> None:
        booked = await booking(silent)
        await booked.ask()
        key = booked.saga.commands.key_of(booked.command)
        answer = partial(conclude_booking, booked.saga.order_id, Refusal("TOO_HEAVY", "nobody can lift it"))

        with closing(Database(replicas.url)) as database, pytest.raises(TypeError, match="TOO_HEAVY"):
            await an_executor(database).conclude(BOOK_SHIPMENT, key, answer)

        assert (await booked.ask(), await booked.shelf()) == ("accepted", SET_ASIDE)

    async def test_desk_when_everything_was_answered_then_nothing_is_found_under_way(
        self, quick: Service, replicas: ShippingReplicas
    ) -> None:
        kept, declined, withdrawn = await booking(quick), await booking(quick, country="AQ"), await booking(quick)
        await asyncio.gather(*(one.ask() for one in (kept, declined, withdrawn)))
        await withdrawn.cancel()

        await kept.becomes("done")
        await declined.becomes("UNDELIVERABLE_ADDRESS")

        with closing(Database(replicas.url)) as database, database.reading() as session:
            assert commands_under_way(session, BOOK_SHIPMENT.name, limit=10) == []

    async def test_simulator_when_asked_again_answers_the_same(self) -> None:
        simulator = CarrierSimulator(timedelta(0))
        command = SagaCommands().book_shipment(("MUG-1", 1), country="AQ")
        parcel = Parcel("key", "order", command.lines, command.shipping_address)

        assert await simulator.answer(parcel) == await simulator.answer(parcel)


def an_executor(database: Database) -> Executor:
    return Executor(database, Snapshots(), on_commit=lambda: None)


def bug(unit: object) -> Refusal:
    raise AssertionError("an undone action was concluded")
