"""A consumer's dead letters in a queue of RabbitMQ, where its operators look for them.

Guarantees: a letter is in the queue before it counts as put. Reading takes all letters out, unacknowledged, and closing
the channel puts those that were not removed back in their places; dying in between does the same.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from aio_pika.abc import AbstractIncomingMessage
from faststream.rabbit import RabbitBroker
from pamqp.common import FieldValue
from pydantic import ValidationError

from contracts.events import EVENT_MEDIA_TYPE, PublicEvent
from messaging.port import DeadLetter
from messaging.rabbit.connection import CALL_WITHIN_S, Line, Link, dead_queue

REASON_HEADER = "amends-reason"
GENERATION_HEADER = "amends-generation"
AT_HEADER = "amends-at"
READ_ALL_WITHIN_S = 120.0
"""How long it may take to read all letters: one by one, a thousand take a second."""


class QueueOfDeadLetters:
    """Implements `DeadLetters`. One process at a time may read a queue; close it with `close()`."""

    def __init__(self, url: str, *, exchange: str, consumer: str) -> None:
        self._queue = dead_queue(exchange, consumer)
        self._link = Link(url, self._declare, name=self._queue.name)

    async def put(self, letter: DeadLetter) -> None:
        headers: dict[str, FieldValue] = {
            REASON_HEADER: letter.reason,
            GENERATION_HEADER: letter.generation,
            AT_HEADER: letter.at.isoformat(),
        }
        await self._put(letter.event.to_json().encode(), letter.event.id, EVENT_MEDIA_TYPE, headers)

    async def put_unreadable(self, body: bytes, content_type: str | None, reason: str) -> None:
        """Keeps what is no event at all, for people to look at. It is not among the letters.

        Raises:
            NotNow: it cannot be stored for the moment.
        """
        await self._put(body, None, content_type or "application/octet-stream", {REASON_HEADER: reason})

    async def letters(self) -> list[DeadLetter]:
        async def read(line: Line) -> list[DeadLetter]:
            async with self._taken_out(line) as taken:
                return [letter for letter, _ in taken]

        found: dict[tuple[int, str, str, str, int], DeadLetter] = {}
        for letter in await self._link.call(read, within_s=READ_ALL_WITHIN_S):
            found.setdefault(letter.identity, letter)
        return list(found.values())

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        unwanted = {letter.identity for letter in letters}

        async def remove(line: Line) -> None:
            async with self._taken_out(line) as taken:
                for letter, message in taken:
                    if letter.identity in unwanted:
                        await message.ack()

        await self._link.call(remove, within_s=READ_ALL_WITHIN_S)

    async def close(self) -> None:
        await self._link.close()

    async def _declare(self, broker: RabbitBroker) -> None:
        await broker.declare_queue(self._queue)

    async def _put(
        self, body: bytes, message_id: str | None, content_type: str, headers: dict[str, FieldValue]
    ) -> None:
        async def put(line: Line) -> None:
            await line.broker.publish(
                body,
                routing_key=self._queue.name,
                mandatory=True,  # should somebody have deleted the queue, that is an error and not a confirmation
                persist=True,
                headers=headers,
                content_type=content_type,
                message_id=message_id,
            )

        await self._link.call(put)

    @asynccontextmanager
    async def _taken_out(self, line: Line) -> AsyncIterator[list[tuple[DeadLetter, AbstractIncomingMessage]]]:
        """All letters. Those that are not acknowledged are back in the queue at the end."""
        async with line.connection.channel() as channel:
            queue = await channel.get_queue(self._queue.name)
            count = queue.declaration_result.message_count or 0
            taken = []
            for _ in range(count):
                message = await queue.get(fail=False, timeout=CALL_WITHIN_S)
                letter = _letter(message) if message else None
                if message and letter:
                    taken.append((letter, message))
            yield taken


def _letter(message: AbstractIncomingMessage) -> DeadLetter | None:
    """None for what is none: it was not readable, or somebody else put it there."""
    reason, generation, at = (message.headers.get(name) for name in (REASON_HEADER, GENERATION_HEADER, AT_HEADER))
    if not isinstance(reason, str) or not isinstance(generation, int) or not isinstance(at, str):
        return None
    try:
        event = PublicEvent.model_validate_json(message.body)
        return DeadLetter(event, reason, datetime.fromisoformat(at), generation)
    except (ValidationError, ValueError):
        return None
