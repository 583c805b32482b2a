from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.orders import Carrier
from services.kernel.refusal import Refusal
from services.shipping import domain, stock
from services.shipping.domain import Movement, Shipment, ShipmentStatus
from services.shipping.events import (
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentRecallCancelled,
    ShipmentRecalled,
    ShipmentReturned,
    ShipmentWithdrawn,
    StockBooked,
    StockDispatched,
    StockEvent,
    StockReceived,
    StockReturned,
    StockTakenBack,
)
from services.shipping.stock import Stock
from tests.support.builders import ReturnCommands, SagaCommands, address


def code_of(decision: Movement | Refusal | None) -> str:
    assert isinstance(decision, Refusal)
    return decision.code


def booked(saga: SagaCommands) -> Shipment:
    decision = domain.book(Shipment(), {"MUG-1": Stock(5, 5)}, saga.book_shipment(("MUG-1", 2)))
    assert isinstance(decision, Movement)
    return domain.evolve(Shipment(), decision.shipment)


class TestBook:
    def test_book_when_in_stock_then_each_sku_is_taken_once(self) -> None:
        saga = SagaCommands()
        shelves = {"MUG-1": Stock(5, 5), "BOOK-1": Stock(9, 9)}

        decision = domain.book(Shipment(), shelves, saga.book_shipment(("MUG-1", 2), ("BOOK-1", 1), ("MUG-1", 3)))

        assert isinstance(decision, Movement)
        order_id = str(saga.order_id)
        assert decision.stock == {"MUG-1": StockBooked(order_id, 5), "BOOK-1": StockBooked(order_id, 1)}

    def test_book_when_the_lines_together_exceed_the_stock_then_it_is_out_of_stock(self) -> None:
        saga = SagaCommands()

        decision = domain.book(Shipment(), {"MUG-1": Stock(4, 4)}, saga.book_shipment(("MUG-1", 2), ("MUG-1", 3)))

        assert code_of(decision) == "OUT_OF_STOCK"

    def test_book_when_some_are_missing_then_exactly_those_are_named(self) -> None:
        shelves = {"MUG-1": Stock(1, 1), "BOOK-1": Stock(9, 9), "UNKNOWN": Stock()}
        command = SagaCommands().book_shipment(("MUG-1", 2), ("BOOK-1", 1), ("UNKNOWN", 1))

        decision = domain.book(Shipment(), shelves, command)

        assert isinstance(decision, Refusal)
        assert "MUG-1" in decision.message
        assert "UNKNOWN" in decision.message
        assert "BOOK-1" not in decision.message

    @pytest.mark.parametrize("country", sorted(domain.UNDELIVERABLE_COUNTRIES))
    def test_book_when_nobody_delivers_there_then_it_is_undeliverable(self, country: str) -> None:
        command = SagaCommands().book_shipment(("MUG-1", 1), country=country)

        assert code_of(domain.book(Shipment(), {"MUG-1": Stock(5, 5)}, command)) == "UNDELIVERABLE_ADDRESS"

    def test_book_when_another_saga_booked_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        other = SagaCommands(saga.order_id, saga_id="another")

        decision = domain.book(booked(saga), {"MUG-1": Stock(5, 5)}, other.book_shipment(("MUG-1", 1)))

        assert code_of(decision) == "SHIPMENT_ALREADY_BOOKED"


def requested(saga: SagaCommands, country: str = "DE") -> Shipment:
    command = saga.book_shipment(("MUG-1", 2), country=country, carrier=Carrier.BY_EVENT)
    decision = domain.book(Shipment(), {"MUG-1": Stock(5, 5)}, command)
    assert isinstance(decision, Movement)
    assert decision.stock == {"MUG-1": StockBooked(str(saga.order_id), 2)}
    return domain.evolve(Shipment(), decision.shipment)


class TestByEvent:
    def test_book_when_nobody_delivers_there_then_the_carrier_is_to_say_so(self) -> None:
        assert requested(SagaCommands(), country="AQ").status is ShipmentStatus.REQUESTED

    def test_book_when_another_saga_has_requested_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        other = SagaCommands(saga.order_id, saga_id="another")

        decision = domain.book(requested(saga), {"MUG-1": Stock(5, 5)}, other.book_shipment(("MUG-1", 1)))

        assert code_of(decision) == "SHIPMENT_ALREADY_BOOKED"

    def test_conclude_when_the_carrier_comes_then_no_more_stock_is_moved(self) -> None:
        saga = SagaCommands()

        movement = domain.conclude(requested(saga), str(saga.order_id), None)

        booked_shipment = domain.evolve(requested(saga), movement.shipment)
        assert (booked_shipment, movement.stock) == (booked(saga), {})

    def test_conclude_when_the_carrier_declines_then_the_units_come_back(self) -> None:
        saga = SagaCommands()

        movement = domain.conclude(requested(saga), str(saga.order_id), domain.answer_for(address("AQ")))

        assert movement.stock == {"MUG-1": StockReturned(str(saga.order_id), 2)}
        assert domain.cancel(domain.evolve(requested(saga), movement.shipment), saga.cancel_shipment()) is None

    def test_conclude_when_nothing_is_requested_then_it_is_a_bug(self) -> None:
        saga = SagaCommands()

        with pytest.raises(ValueError, match="expected a requested one"):
            domain.conclude(booked(saga), str(saga.order_id), None)

    def test_cancel_when_requested_then_the_units_come_back(self) -> None:
        saga = SagaCommands()

        decision = domain.cancel(requested(saga), saga.cancel_shipment())

        assert decision == Movement(ShipmentWithdrawn(), {"MUG-1": StockReturned(str(saga.order_id), 2)})

    def test_cancel_when_another_saga_has_requested_then_nothing_happens(self) -> None:
        saga = SagaCommands()

        assert domain.cancel(requested(saga), SagaCommands(saga.order_id, "another").cancel_shipment()) is None

    def test_dispatch_when_only_requested_then_it_is_refused(self) -> None:
        saga = SagaCommands()

        assert code_of(domain.dispatch(requested(saga), saga.dispatch_shipment())) == "SHIPMENT_NOT_BOOKED"


class TestAfterBooking:
    def test_cancel_when_booked_then_the_units_come_back(self) -> None:
        saga = SagaCommands()

        decision = domain.cancel(booked(saga), saga.cancel_shipment())

        assert isinstance(decision, Movement)
        assert decision.stock == {"MUG-1": StockReturned(str(saga.order_id), 2)}

    def test_cancel_when_dispatched_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        shipment = Shipment(ShipmentStatus.DISPATCHED, saga.saga_id)

        assert code_of(domain.cancel(shipment, saga.cancel_shipment())) == "SHIPMENT_ALREADY_DISPATCHED"

    def test_cancel_when_another_saga_booked_then_nothing_happens(self) -> None:
        saga = SagaCommands()

        assert domain.cancel(booked(saga), SagaCommands(saga.order_id, "another").cancel_shipment()) is None

    def test_dispatch_when_booked_then_the_units_leave(self) -> None:
        saga = SagaCommands()

        decision = domain.dispatch(booked(saga), saga.dispatch_shipment())

        assert isinstance(decision, Movement)
        assert decision.stock == {"MUG-1": StockDispatched(str(saga.order_id), 2)}

    def test_dispatch_when_nothing_is_booked_then_it_is_refused(self) -> None:
        assert code_of(domain.dispatch(Shipment(), SagaCommands().dispatch_shipment())) == "SHIPMENT_NOT_BOOKED"


@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from(["receive", "book", "return", "dispatch", "take back"]))))
def test_stock_when_anything_allowed_happens_then_it_balances(moves: list[tuple[int, str]]) -> None:
    events: list[StockEvent] = []
    for quantity, move in moves:
        state = reduce(stock.evolve, events, Stock())
        if move == "receive":
            events.append(StockReceived(quantity, "a-delivery"))
        elif move == "book" and quantity <= state.on_hand:
            events.append(StockBooked("o", quantity))
        elif move == "return" and quantity <= state.booked:
            events.append(StockReturned("o", quantity))
        elif move == "dispatch" and quantity <= state.booked:
            events.append(StockDispatched("o", quantity))
        elif move == "take back" and quantity <= state.dispatched - state.taken_back:
            events.append(StockTakenBack("o", quantity))

    state = reduce(stock.evolve, events, Stock())

    assert state.on_hand + state.booked + state.dispatched - state.taken_back == state.received
    assert min(state.on_hand, state.booked, state.dispatched) >= 0


class TestRecall:
    def setup_method(self) -> None:
        self.saga = SagaCommands()
        self.returning, self.other = ReturnCommands(self.saga.order_id), ReturnCommands(self.saga.order_id)
        self.recalled = ShipmentRecalled(self.returning.saga_id)

    def dispatched(self, *then: ShipmentEvent) -> Shipment:
        return reduce(domain.evolve, (ShipmentDispatched(), *then), booked(self.saga))

    def test_shipment_when_recalled_and_received_then_its_units_are_taken_back(self) -> None:
        assert domain.recall(self.dispatched(), self.returning.recall_shipment()) == Movement(self.recalled, {})

        received = domain.receive(self.dispatched(self.recalled), self.returning.receive_shipment())

        assert received == Movement(ShipmentReturned(), {"MUG-1": StockTakenBack(str(self.saga.order_id), 2)})
        assert self.dispatched(self.recalled, ShipmentReturned()).status is ShipmentStatus.RETURNED

    def test_recall_when_not_dispatched_then_it_is_refused(self) -> None:
        for shipment in (Shipment(), booked(self.saga)):
            assert code_of(domain.recall(shipment, self.returning.recall_shipment())) == "SHIPMENT_NOT_DISPATCHED"

    def test_recall_when_another_is_under_way_then_it_is_refused(self) -> None:
        refused = domain.recall(self.dispatched(self.recalled), self.other.recall_shipment())

        assert code_of(refused) == "RECALL_UNDER_WAY"

    def test_recall_when_it_came_back_then_it_is_refused(self) -> None:
        shipment = self.dispatched(self.recalled, ShipmentReturned())

        assert code_of(domain.recall(shipment, self.other.recall_shipment())) == "ALREADY_RETURNED"

    def test_cancel_when_recalled_then_the_shipment_is_what_it_was(self) -> None:
        cancelled = domain.cancel_recall(self.dispatched(self.recalled), self.returning.cancel_recall())

        assert cancelled == Movement(ShipmentRecallCancelled(), {})
        assert self.dispatched(self.recalled, ShipmentRecallCancelled()) == self.dispatched()

    def test_cancel_when_another_saga_has_recalled_then_nothing_happens(self) -> None:
        for shipment in (self.dispatched(), self.dispatched(self.recalled)):
            assert domain.cancel_recall(shipment, self.other.cancel_recall()) is None

    def test_cancel_when_it_came_back_then_it_is_refused(self) -> None:
        shipment = self.dispatched(self.recalled, ShipmentReturned())

        assert code_of(domain.cancel_recall(shipment, self.returning.cancel_recall())) == "SHIPMENT_ALREADY_RETURNED"

    def test_receive_when_not_recalled_by_this_saga_then_it_is_refused(self) -> None:
        came_back = self.dispatched(self.recalled, ShipmentReturned())

        assert code_of(domain.receive(self.dispatched(), self.returning.receive_shipment())) == "SHIPMENT_NOT_RECALLED"
        assert code_of(domain.receive(came_back, self.returning.receive_shipment())) == "SHIPMENT_NOT_RECALLED"
        assert (
            code_of(domain.receive(self.dispatched(self.recalled), self.other.receive_shipment()))
            == "SHIPMENT_NOT_RECALLED"
        )

    def test_order_saga_when_the_shipment_is_recalled_or_back_then_it_can_change_nothing(self) -> None:
        for then in ((self.recalled,), (self.recalled, ShipmentReturned())):
            shipment = self.dispatched(*then)

            assert code_of(domain.cancel(shipment, self.saga.cancel_shipment())) == "SHIPMENT_ALREADY_DISPATCHED"
            assert code_of(domain.dispatch(shipment, self.saga.dispatch_shipment())) == "SHIPMENT_NOT_BOOKED"
            assert code_of(domain.book(shipment, {"MUG-1": Stock(5, 5)}, self.saga.book_shipment(("MUG-1", 1)))) == (
                "SHIPMENT_ALREADY_BOOKED"
            )
