"""The outermost layer, and the small pure parts beside it."""

import pytest

from api.idempotency import digest_of, order_id_of
from api.web.requests import preferred_wait_s
from tests.support.orders import parsed_order


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        (["wait=5"], 5),
        (["wait=0"], 0),
        (['wait="7"'], 7),
        (["WAIT = 5 ; foo"], 5),
        (["respond-async, wait=5"], 5),
        (["respond-async", "wait=5"], 5),
        (["wait=5, wait=9"], 5),
        (["wait=999"], 60),
        (["wait=-1"], None),
        (["wait"], None),
        (["wait=x, wait=3"], 3),
        (["waiting=3"], None),
        (["wait=٣"], None),
    ],
)
def test_wait_when_preferred_then_understood_or_ignored(headers: list[str], seconds: int | None) -> None:
    assert preferred_wait_s(headers, 60) == seconds


def test_order_id_when_the_key_is_the_same_then_the_same() -> None:
    assert order_id_of("a") == order_id_of("a") != order_id_of("b")
    # Old keys must lead to old orders for ever.
    assert str(order_id_of("a")) == "b1bf38dd-db52-5a33-8201-abcc3bfadf3a"


def test_digest_when_spelled_differently_then_the_same() -> None:
    assert digest_of(parsed_order(deadline_s=60)) == digest_of(parsed_order(deadline_s=60.0))
    assert digest_of(parsed_order()) == digest_of(parsed_order(faults=[], deadline_s=None, carrier="at_once"))


def test_digest_when_of_an_old_order_then_what_it_was() -> None:
    # It lies in the memo of sagas that older releases have started.
    assert digest_of(parsed_order()) == "82b85d8735e83eb0b88b658e100ec0bfcf4415893f0ca056f03ec5de0cf18c81"


@pytest.mark.parametrize(
    "changes", [{"customer_id": "x"}, {"deadline_s": 5}, {"payment_token": "tok_declined"}, {"carrier": "by_event"}]
)
def test_digest_when_anything_differs_then_another(changes: dict[str, object]) -> None:
    assert digest_of(parsed_order(**changes)) != digest_of(parsed_order())
