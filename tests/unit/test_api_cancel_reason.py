"""What a cancellation's reason keeps of the attempts that it stops."""

import pytest

from api.view.cancel_reason import attempts_in, reason_for
from api.view.facts import Pending


def test_reason_when_activities_are_pending_then_read_back() -> None:
    pending = [Pending("book_shipment", 4, True, "down", None), Pending("capture_payment", 2, False, None, None)]

    reason = reason_for(pending)

    assert reason == "asked through the API; attempts so far: book_shipment 3, capture_payment 2"
    assert attempts_in(reason) == {"book_shipment": 3, "capture_payment": 2}


def test_reason_when_nothing_is_pending_then_says_so() -> None:
    assert attempts_in(reason_for([])) == {}


@pytest.mark.parametrize("reason", ["", "book_shipment 3", "because; attempts so far: book_shipment 3", "attempts"])
def test_reason_when_from_somebody_else_then_tells_no_attempts(reason: str) -> None:
    assert attempts_in(reason) == {}
