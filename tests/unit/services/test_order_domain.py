from functools import reduce

from contracts.sagas import Cause
from services.kernel.refusal import Refusal
from services.order import domain
from services.order.domain import MAX_TOTAL_MINOR, Order, OrderStatus
from services.order.events import OrderConfirmed, OrderEvent, OrderPlaced, OrderRejected
from tests.support.builders import SagaCommands


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
