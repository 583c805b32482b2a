"""What makes a stream of events an aggregate: where its state begins, what each event changes, what is announced.

Stored events live for ever, their types change. An event whose fields change gets an upcaster, which makes the data of
the next version out of stored data of the one before; so old events are read as if they had been written today, and
the log is never rewritten (docs/event-log.md).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from contracts.events import EventData

S = TypeVar("S")
E = TypeVar("E")


Stored = dict[str, Any]
Upcaster = Callable[[Stored], Stored]

VERSION = "$v"
"""Beside the fields in stored data: the version of the event's type, where that is not the first."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the outside is told of an event, and which order it is about, if any."""

    data: EventData
    order_id: str | None


@dataclass(frozen=True)
class Aggregate(Generic[S, E]):
    """One kind of stream. Its events are dataclasses, stored under their class names."""

    initial: S
    evolve: Callable[[S, E], S]
    event_types: tuple[type[E], ...]
    prefix: str = ""
    """With which the ids of its streams start; without one, they are order ids."""
    announce: Callable[[E, str], Announcement | None] = lambda _event, _stream: None
    """What the outside is told of an event of a stream. By default nothing: what is stored is private."""
    upcasters: Mapping[str, tuple[Upcaster, ...]] = field(default_factory=dict)
    """By event type: from its first version to the second, from the second to the third, …"""

    @cached_property
    def _adapters(self) -> Mapping[str, TypeAdapter[E]]:
        return {event_type.__name__: TypeAdapter(event_type) for event_type in self.event_types}

    @cached_property
    def _state(self) -> TypeAdapter[S]:
        return TypeAdapter(type(self.initial))

    def encode(self, event: E) -> tuple[str, Stored]:
        """The event's type and its data as JSON knows it."""
        name = type(event).__name__
        data: Stored = self._adapters[name].dump_python(event, mode="json")
        version = self._version(name)
        return name, data if version == 1 else {**data, VERSION: version}

    def decode(self, name: str, data: Stored) -> E:
        """The event from its data as it was stored, whenever that was."""
        fields = {key: value for key, value in data.items() if key != VERSION}
        for upcast in self.upcasters.get(name, ())[data.get(VERSION, 1) - 1 :]:
            fields = upcast(fields)
        return self._adapters[name].validate_python(fields)

    def _version(self, name: str) -> int:
        return 1 + len(self.upcasters.get(name, ()))

    def fold(self, stored: Iterable[tuple[str, Stored]], state: S) -> S:
        """The state after the events, which follow each other without a gap."""
        for name, data in stored:
            state = self.evolve(state, self.decode(name, data))
        return state

    def describe(self, state: S) -> dict[str, Any]:
        """The state as JSON knows it."""
        described: dict[str, Any] = self._state.dump_python(state, mode="json")
        return described


AnyAggregate = Aggregate[Any, Any]


def aggregate_of(stream: str, aggregates: Iterable[AnyAggregate]) -> AnyAggregate:
    """Which of the service's aggregates a stream belongs to: the one with the longest fitting prefix."""
    return max((a for a in aggregates if stream.startswith(a.prefix)), key=lambda a: len(a.prefix))
