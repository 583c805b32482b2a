"""What makes a stream of events an aggregate: where its state begins, and what each event changes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Aggregate(Generic[S, E]):
    """One kind of stream. Its events are dataclasses, stored under their class names."""

    initial: S
    evolve: Callable[[S, E], S]
    event_types: tuple[type[E], ...]
    prefix: str = ""
    """With which the ids of its streams start; without one, they are order ids."""

    @cached_property
    def _adapters(self) -> Mapping[str, TypeAdapter[E]]:
        return {event_type.__name__: TypeAdapter(event_type) for event_type in self.event_types}

    @cached_property
    def _state(self) -> TypeAdapter[S]:
        return TypeAdapter(type(self.initial))

    def encode(self, event: E) -> tuple[str, dict[str, Any]]:
        """The event's type and its data as JSON knows it."""
        name = type(event).__name__
        return name, self._adapters[name].dump_python(event, mode="json")

    def decode(self, name: str, data: dict[str, Any]) -> E:
        return self._adapters[name].validate_python(data)

    def fold(self, stored: Iterable[tuple[str, dict[str, Any]]], state: S) -> S:
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
