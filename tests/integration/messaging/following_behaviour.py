"""What holds for a consumer whichever transport it follows. Give the fixture `wires` and inherit."""

from tests.integration.messaging.stage import FreezesOnceTaken, IsHandedAllTwice, KeepsLetters, OrderLog, Subject
from tests.support.eventually import eventually


class FollowingBehaviour:
    async def test_events_when_followed_are_taken_once_in_the_order_of_the_log(
        self, log: OrderLog, subject: Subject
    ) -> None:
        async with subject.following():
            await log.fill(orders=10)

            await has_taken_all(subject, log)

    async def test_consumer_when_it_is_new_reads_the_log_from_its_start(self, log: OrderLog, subject: Subject) -> None:
        await log.fill(orders=5)

        async with subject.following():
            await has_taken_all(subject, log)

    async def test_consumer_when_it_was_off_for_a_while_catches_up(self, log: OrderLog, subject: Subject) -> None:
        async with subject.following():
            await log.fill(orders=3)
            await has_taken_all(subject, log)

        await log.fill(orders=3)
        async with subject.following():
            await log.fill(orders=3)

            await has_taken_all(subject, log)

    async def test_consumer_when_killed_before_it_could_say_that_it_has_taken_takes_nothing_twice(
        self, log: OrderLog, subject: Subject
    ) -> None:
        frozen = FreezesOnceTaken(subject.consumer())
        async with subject.following(frozen):
            await log.fill(orders=3)
            await eventually(lambda: frozen.has_taken)

        async with subject.following():
            await log.fill(orders=1)

            await has_taken_all(subject, log)

    async def test_consumer_when_killed_again_and_again_loses_and_doubles_nothing(
        self, log: OrderLog, subject: Subject
    ) -> None:
        for _ in range(5):
            taken_before = subject.taken()
            async with subject.following():
                await log.fill(orders=4)
                await has_taken_something_new(subject, since=taken_before)

        async with subject.following():
            await has_taken_all(subject, log)

    async def test_events_when_they_come_again_have_no_effect(self, log: OrderLog, subject: Subject) -> None:
        async with subject.following(IsHandedAllTwice(subject.consumer())):
            await log.fill(orders=5)

            await has_taken_all(subject, log)

    async def test_poisonous_event_when_it_comes_parks_its_stream_alone(self, log: OrderLog, subject: Subject) -> None:
        healthy, poisonous = await log.place(), await log.place()
        subject.poisonous.add(poisonous.order_id)

        async with subject.following():
            await log.confirm(poisonous)
            await log.confirm(healthy)
            (later,) = await log.fill(orders=1)

            await eventually(lambda: len(subject.taken()) == 4)
            assert subject.taken() == [i for i in await log.ids() if not i.startswith(poisonous.order_id)]
            assert await subject.parked() == [poisonous.order_id]
            assert await subject.reasons() == {
                f"{poisonous.order_id}:1": "ValueError: it is poisonous",
                f"{poisonous.order_id}:2": "waits behind version 1, which could not be taken",
            }
            assert f"{later.order_id}:2" in subject.taken()

    async def test_parked_stream_when_the_fault_is_mended_and_it_is_replayed_goes_on_in_order(
        self, log: OrderLog, subject: Subject
    ) -> None:
        poisonous = await log.place()
        other = await log.place()
        subject.poisonous.add(poisonous.order_id)
        consumer = subject.consumer()
        async with subject.following(consumer):
            await eventually(lambda: subject.taken() == [f"{other.order_id}:1"])
            subject.poisonous.clear()

            replayed = await consumer.replay("order", poisonous.order_id)
            await log.confirm(poisonous)

            await eventually(lambda: len(subject.taken()) == 3)
            assert subject.taken()[1:] == [f"{poisonous.order_id}:1", f"{poisonous.order_id}:2"]
            assert (replayed.taken, replayed.still_parked) == (1, None)
            assert (await subject.parked(), await subject.reasons()) == ([], {})

    async def test_parked_events_when_replayed_together_are_taken_in_order(
        self, log: OrderLog, subject: Subject
    ) -> None:
        poisonous, also = await log.fill(orders=2)
        subject.poisonous |= {poisonous.order_id, also.order_id}
        consumer = subject.consumer()
        async with subject.following(consumer):
            await has_letters(subject, 4)
            subject.poisonous.clear()

            replayed = await consumer.replay("order", poisonous.order_id)

            assert replayed.taken == 2
            assert subject.taken() == [f"{poisonous.order_id}:1", f"{poisonous.order_id}:2"]
            assert await subject.parked() == [also.order_id]
            assert list(await subject.reasons()) == [f"{also.order_id}:1", f"{also.order_id}:2"]

    async def test_parked_stream_when_replayed_too_early_stays_parked(self, log: OrderLog, subject: Subject) -> None:
        (poisonous,) = await log.fill(orders=1)
        subject.poisonous.add(poisonous.order_id)
        consumer = subject.consumer()
        async with subject.following(consumer):
            await has_letters(subject, 2)

            replayed = await consumer.replay("order", poisonous.order_id)

            assert (replayed.taken, replayed.still_parked) == (0, "ValueError: it is poisonous")
            assert await subject.parked() == [poisonous.order_id]
            assert len(await subject.reasons()) == 2

    async def test_parked_event_when_dropped_is_left_out_alone(self, log: OrderLog, subject: Subject) -> None:
        (poisonous,) = await log.fill(orders=1)
        subject.poisonous.add(poisonous.order_id)
        consumer = subject.consumer()
        async with subject.following(consumer):
            await has_letters(subject, 2)
            subject.poisonous.clear()

            await consumer.drop("order", poisonous.order_id, 1)

            assert subject.taken() == [f"{poisonous.order_id}:2"]
            assert (await subject.parked(), await subject.reasons()) == ([], {})

    async def test_dead_letter_when_the_consumer_dies_right_after_putting_it_is_there_once(
        self, log: OrderLog, subject: Subject
    ) -> None:
        poisonous = await log.place()
        subject.poisonous.add(poisonous.order_id)
        letters = subject.dead_letters
        subject.dead_letters = kept = KeepsLetters(letters)
        async with subject.following():
            await eventually(lambda: kept.has_put)
        subject.dead_letters = letters

        async with subject.following():
            await log.confirm(poisonous)
            await has_letters(subject, 2)

            assert await subject.parked() == [poisonous.order_id]

    async def test_log_when_it_is_renewed_is_read_from_its_start(self, log: OrderLog, subject: Subject) -> None:
        async with subject.following():
            await log.fill(orders=2)
            await has_taken_all(subject, log)

            log.renew()
            await log.fill(orders=1)

            await has_taken_all(subject, log, log_id=await log.log_id())

    async def test_database_when_it_is_away_is_waited_for_and_parks_nothing(
        self, log: OrderLog, subject: Subject
    ) -> None:
        subject.is_database_away = True
        async with subject.following():
            await log.fill(orders=2)
            # More often than an event is tried before it counts as poisonous.
            await eventually(lambda: subject.attempts > 4)

            subject.is_database_away = False

            await has_taken_all(subject, log)
            assert (await subject.parked(), await subject.reasons()) == ([], {})


async def has_taken_all(subject: Subject, log: OrderLog, *, log_id: str | None = None) -> None:
    """Each event of the log once, in its order, and nothing else."""
    expected = await log.ids()
    await eventually(lambda: len(subject.taken(log_id)) >= len(expected), within_s=20)
    assert subject.taken(log_id) == expected


async def has_taken_something_new(subject: Subject, *, since: list[str]) -> None:
    await eventually(lambda: len(subject.taken()) > len(since))


async def has_letters(subject: Subject, count: int) -> None:
    async def have_come() -> bool:
        return len(await subject.reasons()) == count

    await eventually(have_come)
