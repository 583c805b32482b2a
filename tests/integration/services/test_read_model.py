"""A read model that is built anew while events come."""

from collections.abc import Iterator

import pytest

from contracts.events import PublicEvent
from messaging.feed import PAGE, Feeds
from messaging.port import Cursor, Page
from services.kernel.consumer.read_model import ReadModel
from tests.support.consuming import Consuming, fact
from tests.support.databases import Databases


class GrowingLog:
    """A service's log, to which an event is added as soon as somebody has read all of it."""

    def __init__(self, events: list[PublicEvent], late: list[PublicEvent]) -> None:
        self._events = events
        self._late = late

    async def read(self, cursor: Cursor, *, limit: int = PAGE, wait_s: float = 0) -> Page:
        events = tuple(event for event in self._events if event.position > cursor.position)
        head = self._events[-1].position
        if not events and self._late:
            self._events.append(self._late.pop())
        return Page("order", "log-1", cursor.position, events, events[-1].position if events else head, head)


@pytest.fixture
def consuming(databases: Databases) -> Iterator[Consuming]:
    consuming = Consuming(databases)
    yield consuming
    consuming.database.close()


async def test_event_when_it_comes_just_before_the_switch_is_in_the_new_generation_though_none_follows(
    consuming: Consuming,
) -> None:
    log = GrowingLog([fact("a", 1, 1), fact("a", 2, 2)], late=[fact("a", 3, 3)])
    model = ReadModel(
        "recorder",
        ("order",),
        database=consuming.database,
        apply=consuming.recorder.apply,
        forget=lambda _session, _generation, _limit: 0,
        feeds=Feeds({"order": log}),
        dead_letters=consuming.dead_letters,
    )
    await model.open()

    # Nobody follows: whoever does has taken it into the former generation, and waits for the next one.
    generation = await model.start_rebuild()

    assert consuming.taken(generation=generation) == [("a", 1), ("a", 2), ("a", 3)]
    assert (await model.cursor("order")).position == 3
    await model.close()
