"""Puts the events of several services into one order. Pure: no I/O, no framework."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar


class Logged(Protocol):
    """Something that stands in a service's log."""

    @property
    def service(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def time(self) -> datetime: ...


L = TypeVar("L", bound=Logged)


def causal_order(events: Iterable[L], *, at: datetime | None = None) -> list[L]:
    """The events, causes before effects; with `at`, those that had happened by then.

    Within a service the log decides, whatever its clock says: positions grow in commit order. Where the clock was put
    back, an event counts as no earlier than those before it, so a moment always cuts a log into a before and an after.

    Across services only time is left to compare. That is enough where it matters: a saga sends its next command after
    it has the reply to the one before, which takes far longer than clocks on one network differ. Events of the same
    microsecond stand by service, so that the answer is the same each time; nothing can have caused the other then.

    It does not matter in which order the events are given.
    """
    latest: dict[str, datetime] = {}
    timed: list[tuple[datetime, str, int, L]] = []
    for event in sorted(events, key=lambda event: event.position):
        moment = max(event.time, latest.get(event.service, event.time))
        latest[event.service] = moment
        if at is None or moment <= at:
            timed.append((moment, event.service, event.position, event))
    # Sorting is merging here: each service's moments and positions only grow.
    timed.sort(key=lambda entry: entry[:3])
    return [event for *_, event in timed]
