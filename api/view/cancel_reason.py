"""The reason that goes with a cancellation, so that its saga's history keeps what Temporal is about to forget.

A cancellation stops an activity's retries. Where that happens between two attempts, Temporal drops their count, and
no event ever tells it. Whoever cancels through the API has just seen the count, and leaves it in the reason.
"""

import re
from collections.abc import Iterable, Mapping

from api.view.facts import Pending

_SO_FAR = "asked through the API; attempts so far: "
_ATTEMPTS = re.compile(r"(\w{1,200}) (\d{1,9})(?:, |$)", re.ASCII)


def reason_for(pending: Iterable[Pending]) -> str:
    attempts = ", ".join(f"{one.activity} {one.attempts}" for one in pending)
    return _SO_FAR + attempts if attempts else "asked through the API"


def attempts_in(reason: str) -> Mapping[str, int]:
    """By activity; nothing where somebody else gave the reason."""
    if not reason.startswith(_SO_FAR):
        return {}
    return {activity: int(count) for activity, count in _ATTEMPTS.findall(reason.removeprefix(_SO_FAR))}
