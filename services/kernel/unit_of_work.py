"""What one command may read and add: the streams of its service, within one database transaction."""

from collections.abc import Sequence
from typing import TypeVar

from sqlmodel import Session

from contracts.wire import EventRef
from services.kernel import event_log
from services.kernel.aggregates import Aggregate
from services.kernel.event_log import Origin, Snapshots, Versioned

S = TypeVar("S")
E = TypeVar("E")


class UnitOfWork:
    """Handed to a handler; whoever made it commits."""

    def __init__(self, session: Session, snapshots: Snapshots, origin: Origin) -> None:
        self._session = session
        self._snapshots = snapshots
        self._origin = origin
        self._added: dict[str, list[EventRef]] = {}

    @property
    def key(self) -> str:
        """The command's idempotency key."""
        return self._origin.key

    def load(self, aggregate: Aggregate[S, E], stream: str) -> Versioned[S]:
        """The state of a stream as this transaction sees it."""
        loaded = event_log.load(self._session, aggregate, stream, self._snapshots.get(stream))
        # What this transaction added may yet be rolled back.
        if loaded.version and stream not in self._added:
            self._snapshots.keep(stream, loaded)
        return loaded

    def append(self, aggregate: Aggregate[S, E], stream: str, events: Sequence[E], *, expected_version: int) -> None:
        """Adds events to a stream that is at `expected_version`.

        Raises:
            ConcurrencyError: it is not.
        """
        if not events:
            return
        refs = event_log.append(
            self._session, aggregate, stream, events, expected_version=expected_version, origin=self._origin
        )
        self._added.setdefault(stream, []).extend(refs)

    def added_to(self, stream: str) -> tuple[EventRef, ...]:
        return tuple(self._added.get(stream, ()))
