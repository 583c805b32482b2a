from functools import reduce

import pytest

from contracts.sagas import Cause
from services.kernel.refusal import Refusal
from services.order import domain
from services.order.domain import MAX_TOTAL_MINOR, Order, OrderStatus
from services.order.events import (
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    ReturnOpened,
    ReturnWithdrawn,
)
from tests.support.builders import ReturnCommands, SagaCommands


def after(*events: OrderEvent) -> Order:
    return reduce(domain.evolve, events, Order())


def placed(saga: SagaCommands) -> OrderEvent:
    (event,) = accepted(domain.place(Order(), saga.place_order()))
    return event


def accepted(decision: tuple[OrderEvent, ...] | Refusal) -> tuple[OrderEvent, ...]:
    assert not isinstance(decision, Refusal)
    return decision


def code_of(decision: tuple[OrderEvent, ...] | Refusal) -> str:
    assert isinstance(decision, Refusal)
    return decision.code


class TestPlace:
    def test_place_when_new_then_the_order_is_pending_with_its_total(self) -> None:
        saga = SagaCommands()

        order = after(*accepted(domain.place(Order(), saga.place_order(unit_price_minor=1250, quantity=2))))

        assert (order.status, order.total_minor, order.saga_id) == (OrderStatus.PENDING, 2500, saga.saga_id)

    def test_place_when_the_total_is_at_the_limit_then_it_is_accepted(self) -> None:
        decision = domain.place(Order(), SagaCommands().place_order(unit_price_minor=MAX_TOTAL_MINOR, quantity=1))

        assert isinstance(accepted(decision)[0], OrderPlaced)

    def test_place_when_the_total_is_above_the_limit_then_it_is_invalid(self) -> None:
        decision = domain.place(Order(), SagaCommands().place_order(unit_price_minor=MAX_TOTAL_MINOR + 1, quantity=1))

        assert code_of(decision) == "INVALID_ORDER"

    def test_place_when_another_saga_placed_it_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        other = SagaCommands(saga.order_id, saga_id="another")

        assert code_of(domain.place(after(placed(saga)), other.place_order())) == "ORDER_ALREADY_PLACED"


class TestReject:
    def test_reject_when_pending_then_the_cause_is_kept(self) -> None:
        saga = SagaCommands()
        order = after(placed(saga))

        rejected = after(placed(saga), *accepted(domain.reject(order, saga.reject_order(Cause.DEADLINE))))

        assert (rejected.status, rejected.cause) == (OrderStatus.REJECTED, Cause.DEADLINE)

    def test_reject_when_confirmed_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        order = after(placed(saga), OrderConfirmed())

        assert code_of(domain.reject(order, saga.reject_order())) == "ORDER_ALREADY_CONFIRMED"

    def test_reject_when_another_saga_placed_it_then_nothing_happens(self) -> None:
        saga = SagaCommands()
        other = SagaCommands(saga.order_id, saga_id="another")

        assert domain.reject(after(placed(saga)), other.reject_order()) == ()


class TestConfirm:
    def test_confirm_when_pending_then_it_is_confirmed(self) -> None:
        saga = SagaCommands()

        assert domain.confirm(after(placed(saga)), saga.confirm_order()) == (OrderConfirmed(),)

    def test_confirm_when_rejected_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        order = after(placed(saga), OrderRejected(Cause.FAILED))

        assert code_of(domain.confirm(order, saga.confirm_order())) == "ORDER_NOT_PENDING"

    def test_confirm_when_another_saga_placed_it_then_it_is_refused(self) -> None:
        saga = SagaCommands()
        other = SagaCommands(saga.order_id, saga_id="another")

        assert code_of(domain.confirm(after(placed(saga)), other.confirm_order())) == "ORDER_NOT_PENDING"


class TestReturn:
    def setup_method(self) -> None:
        self.saga = SagaCommands()
        self.returning, self.other = ReturnCommands(self.saga.order_id), ReturnCommands(self.saga.order_id)
        self.opened = ReturnOpened(self.returning.saga_id)

    def confirmed(self, *then: OrderEvent) -> Order:
        return after(placed(self.saga), OrderConfirmed(), *then)

    def test_return_when_opened_and_closed_then_the_order_is_returned(self) -> None:
        assert domain.open_return(self.confirmed(), self.returning.open_return()) == (self.opened,)
        assert domain.close_return(self.confirmed(self.opened), self.returning.close_return()) == (OrderReturned(),)
        assert self.confirmed(self.opened, OrderReturned()).status is OrderStatus.RETURNED

    def test_open_when_the_order_is_pending_or_rejected_then_it_is_refused(self) -> None:
        command = self.returning.open_return()

        for events in ([], [placed(self.saga)], [placed(self.saga), OrderRejected(Cause.FAILED)]):
            assert code_of(domain.open_return(after(*events), command)) == "ORDER_NOT_CONFIRMED"

    def test_open_when_another_return_is_under_way_then_it_is_refused(self) -> None:
        refused = domain.open_return(self.confirmed(self.opened), self.other.open_return())

        assert code_of(refused) == "RETURN_UNDER_WAY"

    def test_open_when_another_return_was_withdrawn_then_it_may(self) -> None:
        decision = domain.open_return(self.confirmed(self.opened, ReturnWithdrawn()), self.other.open_return())

        assert decision == (ReturnOpened(self.other.saga_id),)

    def test_open_when_returned_then_it_is_refused(self) -> None:
        order = self.confirmed(self.opened, OrderReturned())

        assert code_of(domain.open_return(order, self.other.open_return())) == "ALREADY_RETURNED"

    def test_withdraw_when_open_then_the_order_is_what_it_was(self) -> None:
        assert domain.withdraw_return(self.confirmed(self.opened), self.returning.withdraw_return()) == (
            ReturnWithdrawn(),
        )
        assert self.confirmed(self.opened, ReturnWithdrawn()) == self.confirmed()

    def test_withdraw_when_another_saga_has_opened_it_then_nothing_happens(self) -> None:
        assert domain.withdraw_return(self.confirmed(self.opened), self.other.withdraw_return()) == ()

    def test_withdraw_when_closed_then_it_is_refused(self) -> None:
        order = self.confirmed(self.opened, OrderReturned())

        assert code_of(domain.withdraw_return(order, self.returning.withdraw_return())) == "RETURN_ALREADY_CLOSED"

    @pytest.mark.parametrize("closed", [True, False])
    def test_close_when_there_is_none_of_this_saga_then_it_is_refused(self, closed: bool) -> None:
        order = self.confirmed(self.opened, OrderReturned()) if closed else self.confirmed()

        assert code_of(domain.close_return(order, self.returning.close_return())) == "RETURN_NOT_OPEN"
        assert code_of(domain.close_return(self.confirmed(self.opened), self.other.close_return())) == "RETURN_NOT_OPEN"

    def test_reject_when_returned_then_it_is_refused(self) -> None:
        order = self.confirmed(self.opened, OrderReturned())

        assert code_of(domain.reject(order, self.saga.reject_order())) == "ORDER_ALREADY_CONFIRMED"
