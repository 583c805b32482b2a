from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.views.causality import causal_order
from tests.support.event_logs import EPOCH, Logs


def seconds(count: int) -> datetime:
    return EPOCH + timedelta(seconds=count)


def test_causal_order_when_given_in_any_order_then_causes_come_before_effects() -> None:
    logs = Logs()
    logs.fulfil("BOOK-1")
    by_service = [event for service in ("shipping", "payment", "order") for event in reversed(logs.of[service])]

    ordered = causal_order(by_service)

    assert ordered == logs.all


def test_causal_order_when_a_clock_was_put_back_then_the_log_decides() -> None:
    logs = Logs()
    order_id = logs.place()
    logs.now -= timedelta(hours=1)
    logs.confirm(order_id)

    ordered = causal_order(reversed(logs.all))

    assert [event.type for event in ordered] == ["OrderPlaced", "OrderConfirmed"]


def test_causal_order_when_of_a_moment_then_what_came_later_is_left_out() -> None:
    logs = Logs()
    order_id = logs.place()
    logs.authorize(order_id)
    logs.confirm(order_id)

    ordered = causal_order(logs.all, at=seconds(2))

    assert [event.type for event in ordered] == ["OrderPlaced", "PaymentAuthorized"]


def test_causal_order_when_of_a_moment_and_a_clock_was_put_back_then_a_log_is_cut_once() -> None:
    logs = Logs()
    order_id = logs.place()
    logs.now -= timedelta(hours=1)
    logs.confirm(order_id)

    ordered = causal_order(logs.all, at=EPOCH)

    assert ordered == []


@settings(deadline=None)
@given(st.data())
def test_causal_order_when_given_in_any_order_then_it_is_the_same(data: st.DataObject) -> None:
    logs = Logs()
    for _ in range(3):
        logs.now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=data.draw(st.integers(0, 3)))
        logs.fulfil("BOOK-1")
    shuffled = data.draw(st.permutations([event for log in logs.of.values() for event in log]))

    ordered = causal_order(shuffled)

    assert ordered == causal_order(event for log in logs.of.values() for event in log)
    for service, log in logs.of.items():
        assert [event for event in ordered if event.service == service] == log
