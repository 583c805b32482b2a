"""A consumer takes each event once, in order, whatever it is handed; and parks what it cannot take."""

from collections.abc import Iterator

import pytest

from contracts.events import OrderPlaced, PublicEvent
from messaging.port import Cursor, DeadLetter, NotNow
from services.kernel.consumer.consumer import TOGETHER
from services.kernel.errors import Conflict, NotFound, TryLater
from tests.support.consuming import Consuming, fact, page, versions
from tests.support.databases import Databases


@pytest.fixture
def consuming(databases: Databases) -> Iterator[Consuming]:
    consuming = Consuming(databases)
    yield consuming
    consuming.database.close()


class TestTaking:
    async def test_page_when_taken_twice_has_one_effect(self, consuming: Consuming) -> None:
        events = page(fact("a", 1, 1), fact("b", 1, 2))

        answers = [await consuming.consumer.take(events) for _ in range(2)]

        assert (answers, consuming.taken()) == ([True, True], [("a", 1), ("b", 1)])

    async def test_page_when_it_overlaps_what_was_taken_adds_the_rest(self, consuming: Consuming) -> None:
        await consuming.consumer.take(page(fact("a", 1, 1), fact("a", 2, 2)))

        await consuming.consumer.take(page(fact("a", 2, 2), fact("a", 3, 3)))

        assert consuming.taken() == [("a", 1), ("a", 2), ("a", 3)]

    async def test_page_when_it_is_a_long_one_is_taken_whole_in_short_transactions(self, consuming: Consuming) -> None:
        stream = [fact("a", number, number) for number in range(1, 2 * TOGETHER + 2)]
        consuming.recorder.unavailable_at = stream[TOGETHER].id
        with pytest.raises(NotNow):
            await consuming.consumer.take(page(*stream))
        # Others could write after each of them; what was taken by then stays taken.
        assert len(consuming.taken()) == (await consuming.consumer.cursor("order")).position == TOGETHER

        consuming.recorder.unavailable_at = None
        assert await consuming.consumer.take(page(*stream))

        assert consuming.taken() == [(event.stream, event.streamversion) for event in stream]

    async def test_page_when_something_is_missing_before_it_is_not_taken(self, consuming: Consuming) -> None:
        await consuming.consumer.take(page(fact("a", 1, 1)))

        taken = await consuming.consumer.take(page(fact("a", 3, 3)))

        position = (await consuming.consumer.cursor("order")).position
        assert (taken, consuming.taken(), position) == (False, [("a", 1)], 1)

    async def test_page_when_it_is_of_another_log_is_not_taken(self, consuming: Consuming) -> None:
        await consuming.consumer.take(page(fact("a", 1, 1)))

        assert not await consuming.consumer.take(page(fact("a", 2, 2, log_id="log-2")))

    async def test_positions_when_they_have_gaps_are_followed_by_what_the_log_says(self, consuming: Consuming) -> None:
        await consuming.consumer.take(page(fact("a", 1, 10), after=0))

        taken = await consuming.consumer.take(page(fact("a", 2, 20), after=10))

        assert (taken, await consuming.consumer.cursor("order")) == (True, Cursor("log-1", 20))

    async def test_database_when_busy_parks_nothing_and_the_page_can_come_again(self, consuming: Consuming) -> None:
        consuming.recorder.unavailable = TryLater("DATABASE_BUSY", "locked")
        with pytest.raises(NotNow):
            await consuming.consumer.take(page(fact("a", 1, 1)))
        assert (consuming.taken(), await consuming.consumer.parked()) == ([], [])

        consuming.recorder.unavailable = None
        await consuming.consumer.take(page(fact("a", 1, 1)))

        assert consuming.taken() == [("a", 1)]


class TestTwoProcesses:
    async def test_page_when_another_process_takes_it_meanwhile_has_one_effect(self, databases: Databases) -> None:
        one, other = Consuming(databases), Consuming(databases)
        events = page(fact("a", 1, 1), fact("a", 2, 2))
        cursor = other.consumer.cursor
        # One fails to take them together, looks where it is, and then the other one takes them.
        one.recorder.poison = {"a:1"}

        async def overtaken(service: str) -> Cursor:
            looked = await cursor(service)
            await other.consumer.take(events)
            return looked

        one.consumer.cursor = overtaken  # type: ignore[method-assign]

        taken = await one.consumer.take(events)

        assert (taken, one.taken()) == (True, [("a", 1), ("a", 2)])
        assert (await cursor("order")).position == 2
        assert (await one.consumer.parked(), await one.dead_letters.letters()) == ([], [])
        one.database.close()
        other.database.close()


class TestParking:
    async def test_event_when_it_cannot_be_taken_parks_its_stream_and_no_other(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}

        await consuming.consumer.take(page(*mixed()))

        assert consuming.taken() == [("a", 1), ("b", 1), ("b", 2)]
        (parked,) = await consuming.consumer.parked()
        assert (parked.stream, parked.next_version) == ("a", 2)
        assert parked.reason == "ValueError: cannot digest a:2"
        first, behind = await consuming.dead_letters.letters()
        assert (first.event.id, first.reason) == ("a:2", "ValueError: cannot digest a:2")
        assert (behind.event.id, behind.reason) == ("a:3", "waits behind version 2, which could not be taken")
        assert (await consuming.consumer.cursor("order")).position == 5

    async def test_stream_when_replayed_after_the_mend_goes_on_in_order(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))

        consuming.recorder.poison = set()
        replayed = await consuming.consumer.replay("order", "a")
        await consuming.consumer.take(page(fact("a", 4, 6)))

        assert (replayed.taken, replayed.still_parked) == (2, None)
        assert versions(consuming.taken(), "a") == [1, 2, 3, 4]
        assert (await consuming.consumer.parked(), await consuming.dead_letters.letters()) == ([], [])

    async def test_stream_when_replayed_too_early_stays_parked(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))

        replayed = await consuming.consumer.replay("order", "a")

        assert (replayed.taken, replayed.still_parked) == (0, "ValueError: cannot digest a:2")
        assert len(await consuming.dead_letters.letters()) == 2

    async def test_stream_when_a_second_event_is_poison_too_is_parked_at_that_one(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))

        consuming.recorder.poison = {"a:3"}
        replayed = await consuming.consumer.replay("order", "a")

        assert (replayed.taken, replayed.still_parked) == (1, "ValueError: cannot digest a:3")
        (parked,) = await consuming.consumer.parked()
        assert parked.next_version == 3

    async def test_event_when_dropped_is_skipped_and_those_behind_it_are_taken(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))

        dropped = await consuming.consumer.drop("order", "a", 2)

        assert (dropped.taken, dropped.still_parked) == (1, None)
        assert versions(consuming.taken(), "a") == [1, 3]
        assert await consuming.dead_letters.letters() == []

    async def test_stream_when_not_parked_cannot_be_replayed_nor_dropped(self, consuming: Consuming) -> None:
        with pytest.raises(NotFound, match="not parked"):
            await consuming.consumer.replay("order", "a")
        with pytest.raises(NotFound, match="not parked"):
            await consuming.consumer.drop("order", "a", 1)

    async def test_drop_when_repeated_after_its_answer_was_lost_drops_nothing_else(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed(), fact("a", 4, 6)))
        letters = consuming.dead_letters.letters
        consuming.dead_letters.letters = out_of_reach  # type: ignore[method-assign]
        with pytest.raises(NotNow):
            await consuming.consumer.drop("order", "a", 2)

        consuming.dead_letters.letters = letters  # type: ignore[method-assign]
        with pytest.raises(Conflict, match="parked at version 3"):
            await consuming.consumer.drop("order", "a", 2)
        await consuming.consumer.replay("order", "a")

        assert versions(consuming.taken(), "a") == [1, 3, 4]

    async def test_reason_when_an_event_is_malformed_names_the_place_and_quotes_nothing(
        self, consuming: Consuming
    ) -> None:
        consuming.recorder.reads = OrderPlaced

        await consuming.consumer.take(page(fact("a", 1, 1)))

        (parked,) = await consuming.consumer.parked()
        assert parked.reason == "not a OrderPlaced: 4 errors, the first at customer_id (missing)"

    async def test_letter_when_put_aside_by_a_process_that_then_died_is_taken_once(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:1"}
        await consuming.consumer.take(page(fact("a", 1, 1)))
        # It died after the letter was put aside, and before its cursor was moved.
        (parked,) = await consuming.consumer.parked()
        await consuming.dead_letters.put(DeadLetter(fact("a", 2, 2), "waits", parked.since, 1))

        consuming.recorder.poison = set()
        await consuming.consumer.replay("order", "a")
        await consuming.consumer.take(page(fact("a", 2, 2), fact("a", 3, 3), after=1))

        assert versions(consuming.taken(), "a") == [1, 2, 3]


class TestReplacedLog:
    """After a stream was parked."""

    async def test_streams_when_the_log_is_replaced_are_parked_no_more(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))

        consuming.recorder.poison = set()
        await consuming.consumer.replaced("order")
        await consuming.consumer.take(page(fact("a", 1, 1, log_id="log-2"), fact("a", 2, 2, log_id="log-2")))

        assert versions(consuming.taken(), "a") == [1, 1, 2]
        assert (await consuming.consumer.parked(), await consuming.dead_letters.letters()) == ([], [])

    async def test_events_when_the_log_was_put_back_and_a_letter_is_replayed_are_all_taken(
        self, consuming: Consuming
    ) -> None:
        consuming.recorder.poison = {"p:1"}
        await consuming.consumer.take(page(fact("a", 1, 1), fact("p", 1, 9), after=0))
        await consuming.consumer.replaced("order")
        await consuming.consumer.take(page(fact("a", 1, 1)))

        with pytest.raises(NotFound):
            await consuming.consumer.replay("order", "p")
        later = [fact("n", number, number + 1) for number in range(1, 10)]
        await consuming.consumer.take(page(*later))

        assert versions(consuming.taken(), "n") == list(range(1, 10))

    async def test_drop_when_the_model_is_built_anew_still_holds(self, consuming: Consuming) -> None:
        consuming.recorder.poison = {"a:2"}
        await consuming.consumer.take(page(*mixed()))
        await consuming.consumer.drop("order", "a", 2)
        building = consuming.generation(2)

        await building.take(page(*mixed()))

        assert versions(consuming.taken(generation=2), "a") == [1, 3]
        assert await building.parked() == []


async def out_of_reach() -> list[DeadLetter]:
    raise NotNow("the broker is away")


def mixed() -> list[PublicEvent]:
    """Two streams, one of which will fail at its second event."""
    return [fact("a", 1, 1), fact("b", 1, 2), fact("a", 2, 3), fact("a", 3, 4), fact("b", 2, 5)]
