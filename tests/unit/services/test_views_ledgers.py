from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import StockBooked, StockDispatched, StockReceived, StockReturned, StockTakenBack
from contracts.views import MoneyView, StockView
from services.views.facts import StockFact
from services.views.ledgers import book_money, fold_stock
from services.views.order_view import Hold, HoldStatus

QUANTITIES = st.integers(1, 1000)
MOVES = st.sampled_from([StockBooked, StockReturned, StockDispatched, StockTakenBack])


def received(quantity: int) -> StockReceived:
    return StockReceived(sku="BOOK-1", quantity=quantity, delivery="d")


class TestStock:
    def test_fold_when_units_are_booked_returned_and_dispatched_then_each_is_somewhere(self) -> None:
        facts: Sequence[StockFact] = [
            received(10),
            StockBooked(sku="BOOK-1", quantity=4),
            StockReturned(sku="BOOK-1", quantity=1),
            StockDispatched(sku="BOOK-1", quantity=2),
            StockTakenBack(sku="BOOK-1", quantity=1),
        ]

        stock = fold_stock("BOOK-1", facts)

        assert stock == StockView(
            sku="BOOK-1", received=10, on_hand=8, booked=1, dispatched=2, returned=1, taken_back=1
        )

    @settings(deadline=None)
    @given(QUANTITIES, st.lists(st.tuples(MOVES, QUANTITIES)))
    def test_fold_when_anything_happens_then_all_that_was_received_is_somewhere(
        self, quantity: int, moves: list[tuple[type[StockBooked], int]]
    ) -> None:
        stock = fold_stock("BOOK-1", [received(quantity), *(move(sku="BOOK-1", quantity=n) for move, n in moves)])

        assert stock.on_hand + stock.booked + stock.dispatched - stock.taken_back == stock.received == quantity


class TestMoney:
    def test_book_when_held_then_it_is_authorized_and_held(self) -> None:
        money = book_money(MoneyView(currency="EUR"), Hold(2500, "EUR"))

        assert money == MoneyView(currency="EUR", authorized_minor=2500, held_minor=2500)

    def test_book_when_paid_back_then_it_stays_captured(self) -> None:
        captured = MoneyView(currency="EUR", authorized_minor=2500, captured_minor=2500)

        money = book_money(captured, Hold(2500, "EUR", HoldStatus.CAPTURED, refunded_minor=2500))

        assert money == captured.model_copy(update={"refunded_minor": 2500})

    @settings(deadline=None)
    @given(st.lists(st.tuples(QUANTITIES, st.sampled_from(HoldStatus))))
    def test_book_when_holds_end_in_any_way_then_all_that_was_authorized_is_somewhere(
        self, holds: list[tuple[int, HoldStatus]]
    ) -> None:
        money = MoneyView(currency="EUR")

        for amount, end in holds:
            money = book_money(money, Hold(amount, "EUR"))
            if end is not HoldStatus.HELD:
                money = book_money(money, Hold(amount, "EUR", end))

        ends = money.captured_minor + money.voided_minor + money.expired_minor + money.held_minor
        assert ends == money.authorized_minor == sum(amount for amount, _ in holds)
