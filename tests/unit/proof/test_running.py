"""Whether a cancel met the moment that its case is about."""

from datetime import UTC, datetime

import pytest

from contracts.faults import Phase
from contracts.sagas import HistoryEntry
from proof.cases import Cancel, Half, When
from proof.running import was_cancelled_in_time

AT = Half("capture_payment", Phase.ACTION)
ASKED = "A cancellation was asked for."
STUCK = Cancel(When.STUCK, AT)


def a_story(*told: str) -> list[HistoryEntry]:
    """Each a request to cancel, or an outcome of the step's action."""
    entries = []
    for event_id, what in enumerate(told, 1):
        about = {} if what == ASKED else {"step": AT.step, "phase": AT.phase, "outcome": what}
        entries.append(
            HistoryEntry.model_validate({"event_id": event_id, "at": datetime.now(UTC), "what": what} | about)
        )
    return entries


@pytest.mark.parametrize(
    ("told", "turned_away_in_time", "in_time"),
    [
        (["failed", "stuck", ASKED, "done"], False, True),
        (["failed", "stuck", "done", ASKED], False, False),
        (["failed", "stuck", "done"], True, True),
        (["failed", "stuck", "done"], False, False),
    ],
    ids=["recorded before the end", "recorded after it", "turned away before it", "turned away after it"],
)
def test_cancel_when_compared_with_the_story_is_in_time_or_not(
    told: list[str], turned_away_in_time: bool, in_time: bool
) -> None:
    assert was_cancelled_in_time(STUCK, a_story(*told), turned_away_in_time) is in_time


def test_cancel_when_it_is_about_no_step_is_always_in_time() -> None:
    assert was_cancelled_in_time(Cancel(When.AT_ONCE), a_story("done"), False)
    assert was_cancelled_in_time(None, a_story("done"), False)
