import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from structlog.testing import capture_logs

from contracts.events import EVENT_MEDIA_TYPE, EventData, OrderConfirmed, PublicEvent, ShipmentCancelled
from messaging.feed import Feeds, LogReplaced
from messaging.port import Cursor, DeadLetter, NotNow, Page
from messaging.rabbit.transport import PREFETCH, RabbitTransport
from tests.integration.messaging.following_behaviour import FollowingBehaviour, has_taken_all
from tests.integration.messaging.rabbit_stage import CONSUMER, FreezesOncePublished, Rabbit
from tests.integration.messaging.stage import OrderLog, Subject, Wires, running
from tests.support.eventually import eventually

pytestmark = pytest.mark.rabbit


@pytest.fixture
async def rabbit(log: OrderLog, tmp_path: Path) -> AsyncIterator[Rabbit]:
    async with Rabbit.at_hand(log, tmp_path) as rabbit:
        yield rabbit


@pytest.fixture
def wires(rabbit: Rabbit) -> Wires:
    return rabbit.wires


class TestRabbit(FollowingBehaviour):
    @pytest.fixture(autouse=True)
    async def relaying(self, rabbit: Rabbit) -> AsyncIterator[None]:
        async with rabbit.relaying():
            yield


class TestBrokerAway:
    async def test_events_when_the_broker_was_away_arrive_afterwards_in_order(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying(), subject.following():
            await log.fill(orders=2)
            await has_taken_all(subject, log)

            await rabbit.gate.close()
            await log.fill(orders=3)
            assert len(subject.taken()) == 4
            await rabbit.gate.open()

            await has_taken_all(subject, log)
            await rabbit.has_relayed_all(log)
            await eventually(rabbit.is_drained)

    async def test_connection_when_cut_again_and_again_loses_and_doubles_nothing(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying(), subject.following():
            for _ in range(4):
                await log.fill(orders=3)
                await rabbit.gate.close()
                await log.fill(orders=1)
                await rabbit.gate.open()

            await has_taken_all(subject, log)
            await rabbit.has_relayed_all(log)
            await eventually(rabbit.is_drained)
            assert subject.taken() == await log.ids()

    async def test_consumer_when_the_broker_is_not_there_from_the_start_waits_for_it(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        await rabbit.gate.close()
        with capture_logs() as entries:
            async with rabbit.relaying(), subject.following():
                await log.fill(orders=2)
                await eventually(lambda: any(entry["event"] == "broker is away" for entry in entries))

                await rabbit.gate.open()

                await has_taken_all(subject, log)

    async def test_outage_when_it_is_over_was_logged_in_two_lines(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with subject.following():
            await log.fill(orders=1)
            await eventually(lambda: rabbit.gate.connections == 1)

            with capture_logs() as entries:
                await rabbit.gate.close()
                await eventually(lambda: entries)
                await asyncio.sleep(1)  # several attempts long: their silence is what is tested
                await rabbit.gate.open()
                await eventually(lambda: entries[-1]["event"] == "broker is back", within_s=20)

        assert [(entry["log_level"], entry["event"]) for entry in entries] == [
            ("warning", "broker is away"),
            ("info", "broker is back"),
        ]

    async def test_queue_when_somebody_deletes_it_is_made_again(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying(), subject.following():
            await log.fill(orders=1)
            await has_taken_all(subject, log)

            await (await rabbit.queue()).delete(if_unused=False, if_empty=False)
            await log.fill(orders=1)

            await has_taken_all(subject, log)

    async def test_publishing_when_the_broker_is_away_says_so_soon(self, rabbit: Rabbit, log: OrderLog) -> None:
        await log.fill(orders=1)
        events = await log.events()
        await rabbit.publisher.publish(events, 0)
        await rabbit.gate.close()
        began = time.monotonic()

        with pytest.raises(NotNow):
            await rabbit.publisher.publish(events, 0)

        assert time.monotonic() - began < 5
        await rabbit.gate.open()
        await rabbit.publisher.publish(events, 0)

    async def test_putting_a_dead_letter_when_the_broker_is_away_says_so_soon(self, rabbit: Rabbit) -> None:
        await rabbit.gate.close()

        with pytest.raises(NotNow):
            await rabbit.transport.dead_letters.put(a_letter(1))


class TestMessages:
    async def test_message_when_published_outlives_the_broker_and_says_what_it_follows(
        self, rabbit: Rabbit, log: OrderLog
    ) -> None:
        await log.fill(orders=2)
        events = await log.events()
        spy = await rabbit.spy()

        async with rabbit.relaying():
            await rabbit.has_relayed_all(log)

        messages = await rabbit.messages(spy)
        assert [PublicEvent.model_validate_json(message.body) for message in messages] == events
        assert [message.message_id for message in messages] == [event.id for event in events]
        assert [message.routing_key for message in messages] == [event.routing_key for event in events]
        assert {message.delivery_mode for message in messages} == {aio_pika.DeliveryMode.PERSISTENT}
        assert {message.content_type for message in messages} == {EVENT_MEDIA_TYPE}
        assert [message.headers["amends-after"] for message in messages] == [0, *(e.position for e in events[:-1])]

    async def test_queues_when_declared_are_durable(self, rabbit: Rabbit, log: OrderLog, subject: Subject) -> None:
        async with subject.following():
            await eventually(lambda: rabbit.reader.reads)
            await rabbit.transport.dead_letters.letters()

            # The broker refuses to declare again what it has otherwise.
            async with (
                await aio_pika.connect(rabbit.url) as connection,
                connection.channel() as channel,
            ):
                await channel.declare_exchange(rabbit.exchange, aio_pika.ExchangeType.TOPIC, durable=True)
                await channel.declare_queue(
                    rabbit.queue_name, durable=True, arguments={"x-single-active-consumer": True}
                )
                await channel.declare_queue(f"{rabbit.queue_name}.dead", durable=True)

    async def test_messages_when_none_is_lost_are_taken_in_order_without_a_look_at_the_log(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with subject.following():
            await eventually(rabbit.is_consumed)
            reads = rabbit.reader.reads
            await log.fill(orders=PREFETCH // 2 + 1)

            async with rabbit.relaying():
                await has_taken_all(subject, log)

        assert rabbit.reader.reads == reads

    async def test_messages_when_some_were_lost_are_made_good_by_the_next_one(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying(), subject.following():
            await log.fill(orders=1)
            await has_taken_all(subject, log)
            await (await rabbit.queue()).unbind(await rabbit.topic(), "order.*")
            await log.fill(orders=2)
            await rabbit.has_relayed_all(log)
            assert len(subject.taken()) == 2
            await (await rabbit.queue()).bind(await rabbit.topic(), "order.*")

            await log.place()

            await has_taken_all(subject, log)

    async def test_messages_when_purged_while_the_consumer_was_off_are_made_good_at_its_start(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying():
            async with subject.following():
                await log.fill(orders=1)
                await has_taken_all(subject, log)
            await log.fill(orders=2)
            await rabbit.has_relayed_all(log)
            await (await rabbit.queue()).purge()

            async with subject.following():
                await has_taken_all(subject, log)

    async def test_relay_when_it_dies_before_it_saved_its_position_publishes_some_again_and_nothing_is_doubled(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        await log.fill(orders=2)
        spy = await rabbit.spy()
        frozen = FreezesOncePublished(rabbit.publisher)
        async with subject.following():
            async with rabbit.relaying(frozen):
                await eventually(lambda: frozen.has_published)

            async with rabbit.relaying():
                await log.fill(orders=1)
                await rabbit.has_relayed_all(log)
                await eventually(rabbit.is_drained)

            await has_taken_all(subject, log)
        ids = await log.ids()
        assert [message.message_id for message in await rabbit.messages(spy)] == [*ids[:4], *ids]

    async def test_message_that_is_no_event_when_it_comes_is_put_aside_unread(
        self, rabbit: Rabbit, log: OrderLog, subject: Subject
    ) -> None:
        async with rabbit.relaying(), subject.following():
            await log.fill(orders=1)
            await has_taken_all(subject, log)

            await (await rabbit.topic()).publish(
                aio_pika.Message(b'{"specversion": "1.0"', headers={"amends-after": 0}), "order.Garbage"
            )
            await (await rabbit.topic()).publish(aio_pika.Message(b"without a header"), "order.Garbage")
            await log.fill(orders=1)

            await has_taken_all(subject, log)
            assert await subject.reasons() == {}
        dead = await rabbit.messages(await rabbit.queue(f"{rabbit.queue_name}.dead"))
        assert [message.body for message in dead] == [b'{"specversion": "1.0"', b"without a header"]
        assert [message.headers["amends-reason"] for message in dead] == [
            "not a PublicEvent: 1 errors, the first at its root (json_invalid)",
            "the header amends-after is no position",
        ]

    async def test_events_when_another_service_is_down_are_taken_all_the_same(
        self, rabbit: Rabbit, log: OrderLog, tmp_path: Path
    ) -> None:
        feeds = Feeds.at({"order": log.url, "payment": "http://127.0.0.1:9"})
        transport = RabbitTransport(rabbit.url, feeds, exchange=rabbit.exchange, consumer=CONSUMER)
        wires = Wires(transport, lambda _: transport.dead_letters)
        subject = Subject(tmp_path, wires, ("payment", "order"))
        await log.fill(orders=1)

        async with rabbit.relaying(), subject.following():
            await has_taken_all(subject, log)
            await log.fill(orders=1)

            await has_taken_all(subject, log)

        subject.close()
        await feeds.close()


class TestDeadLetters:
    async def test_letters_when_read_stay_in_their_order(self, rabbit: Rabbit) -> None:
        letters = [a_letter(version) for version in range(1, 6)]
        for letter in letters:
            await rabbit.transport.dead_letters.put(letter)

        for _ in range(20):
            assert await rabbit.transport.dead_letters.letters() == letters

    async def test_letters_when_some_are_removed_leave_the_others_in_their_order(self, rabbit: Rabbit) -> None:
        letters = [a_letter(version) for version in range(1, 6)]
        for letter in letters:
            await rabbit.transport.dead_letters.put(letter)

        await rabbit.transport.dead_letters.remove([letters[1], letters[3], a_letter(9)])

        assert await rabbit.transport.dead_letters.letters() == [letters[0], letters[2], letters[4]]

    async def test_letter_when_put_twice_is_there_once_and_can_be_removed(self, rabbit: Rabbit) -> None:
        first, again = a_letter(1), a_letter(1, reason="again")
        await rabbit.transport.dead_letters.put(first)
        await rabbit.transport.dead_letters.put(again)

        found = await rabbit.transport.dead_letters.letters()
        await rabbit.transport.dead_letters.remove(found)

        assert found == [first]
        assert await rabbit.transport.dead_letters.letters() == []

    async def test_letters_when_read_and_removed_at_once_do_not_hide_from_one_another(self, rabbit: Rabbit) -> None:
        letters = [a_letter(version) for version in range(1, 6)]
        for letter in letters:
            await rabbit.transport.dead_letters.put(letter)

        found = await asyncio.gather(*(rabbit.transport.dead_letters.letters() for _ in range(5)))

        assert found == [letters] * 5

    async def test_letter_when_put_outlives_the_broker_and_names_its_reason(self, rabbit: Rabbit) -> None:
        letter = a_letter(1)

        await rabbit.transport.dead_letters.put(letter)

        (message,) = await rabbit.messages(await rabbit.queue(f"{rabbit.queue_name}.dead"))
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert PublicEvent.model_validate_json(message.body) == letter.event
        assert message.headers == {
            "amends-reason": letter.reason,
            "amends-generation": 1,
            "amends-at": letter.at.isoformat(),
        }


class OneLogIsRebuilt:
    """A consumer that is rebuilding for one service without end, and takes the events of all others."""

    name = CONSUMER
    services = ("order", "shipping")

    def __init__(self) -> None:
        self.is_rebuilding = asyncio.Event()
        self.taken: list[str] = []

    async def cursor(self, service: str) -> Cursor:
        return Cursor("a-log", 0)

    async def take(self, page: Page) -> bool:
        self.taken += [event.id for event in page.events]
        return True

    async def replaced(self, service: str) -> None:
        self.is_rebuilding.set()
        await asyncio.Event().wait()


class ReplacedLog:
    async def read(self, cursor: Cursor, *, limit: int = 1, wait_s: float = 0) -> Page:
        raise LogReplaced("another one")


class EmptyLog:
    async def read(self, cursor: Cursor, *, limit: int = 1, wait_s: float = 0) -> Page:
        return Page("shipping", "a-log", cursor.position, (), cursor.position, head=0)


async def test_log_when_its_replacement_takes_long_holds_up_no_other_services_events(rabbit: Rabbit) -> None:
    feeds = Feeds({"order": ReplacedLog(), "shipping": EmptyLog()})
    taker = OneLogIsRebuilt()
    transport = RabbitTransport(rabbit.url, feeds, exchange=rabbit.exchange, consumer=CONSUMER)
    cancelled = an_event("shipping", ShipmentCancelled(), version=1)
    async with running(transport.follow(taker)):
        await asyncio.wait_for(taker.is_rebuilding.wait(), 10)
        await eventually(rabbit.is_consumed)

        await rabbit.publisher.publish([an_event("order", OrderConfirmed(), version=1)], after=0)
        await rabbit.publisher.publish([cancelled], after=0)

        await eventually(lambda: cancelled.id in taker.taken)


def an_event(service: str, fact: EventData, *, version: int) -> PublicEvent:
    return PublicEvent.of(
        service,
        fact,
        subject="order-1",
        time=datetime.now(UTC),
        causationid="key/Command",
        sagaid=None,
        stream="order-1",
        streamversion=version,
        position=version,
        logid="log-1",
    )


def a_letter(version: int, *, reason: str = "ValueError: poisonous, naïve — 'quoted'") -> DeadLetter:
    event = an_event("order", OrderConfirmed(), version=version)
    return DeadLetter(event, reason, datetime.now(UTC), generation=1)
