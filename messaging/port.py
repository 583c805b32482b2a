"""What a consumer and a transport are to each other: the one port, with a transport for each way that events travel.

A log is the truth, a transport only a way to hear of it. So a transport may deliver twice, late, or after a gap; the
consumer compares what it is handed with how far it has got, and what does not follow on is read from the log again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from contracts.events import PublicEvent


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a consumer has got in one service's log."""

    log_id: str | None = None
    """None before the first event."""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of one service's log: all public events after `after`, up to and with `position`."""

    service: str
    log_id: str
    after: int
    events: tuple[PublicEvent, ...]
    position: int
    head: int | None = None
    """The position of the log's last event, where the transport knows it."""

    def follows(self, cursor: Cursor) -> bool:
        """Whether nothing lies between the cursor and this page."""
        return cursor.log_id in (None, self.log_id) and self.after <= cursor.position

    def parts(self, size: int) -> Iterator["Page"]:
        """The same in pages of at most so many events, each following on from the one before."""
        after, events = self.after, self.events
        while len(events) > size:
            position = events[size - 1].position
            yield replace(self, after=after, events=events[:size], position=position)
            after, events = position, events[size:]
        yield replace(self, after=after, events=events)


class Taker(Protocol):
    """A consumer, as a transport sees it."""

    @property
    def name(self) -> str:
        """Unique among the consumers of a system; a broker names its queue after it."""

    @property
    def services(self) -> tuple[str, ...]:
        """Whose events it consumes."""

    async def cursor(self, service: str) -> Cursor:
        """How far it has got in that service's log.

        Raises:
            NotNow: it cannot tell for the moment.
        """

    async def take(self, page: Page) -> bool:
        """Returns once the effect of the page's events is durable; taking an event again has no effect.

        False if the page does not follow on from the cursor: then the log is to be read from there.

        Raises:
            NotNow: the consumer cannot take anything for the moment, whatever the event.
        """

    async def replaced(self, service: str) -> None:
        """Told that the log it followed is not there any more. Returns once it can be read from the new cursor."""


class Transport(Protocol):
    """One way for events to reach a consumer: each service's in the order of its log, at least once."""

    async def follow(self, taker: Taker) -> None:
        """Delivers until it is cancelled. A log or broker that cannot be reached is tried again, without end."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer could not take, or that waits behind such a one of its stream."""

    event: PublicEvent
    reason: str
    at: datetime
    generation: int
    """Of the read model into which it could not be taken."""

    @property
    def identity(self) -> tuple[int, str, str, str, int]:
        event = self.event
        return self.generation, event.service, event.logid, event.stream, event.streamversion

    def is_of(self, generation: int, service: str, stream: str | None = None) -> bool:
        """Whether it is a service's, or one of its streams', in a generation."""
        ours = (self.generation, self.event.service) == (generation, service)
        return ours and stream in (None, self.event.stream)


class DeadLetters(Protocol):
    """Where a consumer's dead letters lie, in the order in which they were put there."""

    async def put(self, letter: DeadLetter) -> None:
        """Returns once it is durable. Putting one again, after a crash, may show it twice.

        Raises:
            NotNow: it cannot be stored for the moment.
        """

    async def letters(self) -> list[DeadLetter]:
        """All of them, each once."""

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """Removing one that is not there is no error."""


class NotNow(Exception):
    """Something that a consumer needs is not there for the moment; trying again later may succeed."""
