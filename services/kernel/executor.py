"""Runs a command: barrier, handler, record, in one database transaction, or in two around a call to the outside.

An action may be accepted first, and concluded later, in a transaction of its own.

Guarantees:
- The reply, the barrier's row and all events of a command are committed together, or none of them.
- A handler's question to the outside is asked only after the intent to ask it is committed, and with no database
  transaction open. The barrier judges again before the answer is recorded: an undo that got in between wins.
- An accepted action is concluded once, by whichever replica, and never after it was undone.
- In one process a command with the same key and name runs once at a time; the others wait for its reply.
- A version conflict is retried, a few times.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar
from weakref import WeakValueDictionary

from sqlmodel import Session

from contracts.base import Contract
from contracts.wire import Outcome, Reply
from services.kernel import barrier, event_log
from services.kernel.barrier import Answered, Entries, EntryState, Proceed, Request, Settled
from services.kernel.database import Database
from services.kernel.decisions import Conclusion, Handling, Outward
from services.kernel.errors import ConcurrencyError, TryLater
from services.kernel.event_log import Origin, Snapshots
from services.kernel.operations import AnyOperation, CommandPhase, Operation
from services.kernel.refusal import Refusal
from services.kernel.tables import CommandRow
from services.kernel.unit_of_work import UnitOfWork

C = TypeVar("C", bound=Contract)
T = TypeVar("T")

CONFLICT_ATTEMPTS = 5
IN_FLIGHT_WAIT_S = 1.0
"""How long a repeated command waits for the first one's reply."""


class Executor:
    def __init__(
        self,
        database: Database,
        snapshots: Snapshots,
        *,
        on_commit: Callable[[], None],
        on_accepted: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._on_commit = on_commit
        self._on_accepted = on_accepted
        self._snapshots = snapshots
        self._in_flight = KeysInFlight()

    async def execute(
        self, operation: Operation[C], command: C, *, key: str, refuse_with: Refusal | None = None
    ) -> Reply | Refusal:
        """The answer to a command; the same command with the same key again is one effect and the same answer.

        Args:
            refuse_with: an injected refusal, given instead of asking the handler, where nothing has happened yet.

        Raises:
            KeyReused: the key came before with another body, or for another order or saga.
            TryLater: the same command is still in flight, or contention lasts.
        """
        request = _request(operation, command, key)
        async with self._in_flight.claim(f"{operation.name} {key}"):
            result = await self._attempt(operation, request, lambda unit: operation.handle(command, unit), refuse_with)
            if isinstance(result, Outward):
                conclude = await result.ask()
                result = await self._attempt(operation, request, conclude)
            self._on_commit()
        if isinstance(result, Outward):
            raise TypeError(f"{operation.name} asks outside twice")
        if isinstance(result, Reply) and result.outcome is Outcome.ACCEPTED:
            self._on_accepted()
        return result

    async def conclude(self, operation: Operation[C], key: str, handle: Conclusion) -> Reply | Refusal | None:
        """What has become of an accepted action; from now on the same command is answered so.

        None, and no effect, where it is not under way: it was concluded before, or undone.

        Raises:
            TryLater: contention lasts.
        """
        result = await self._write(lambda session: self._conclude_within(session, operation, key, handle))
        self._on_commit()
        return result

    async def _attempt(
        self,
        operation: Operation[C],
        request: Request,
        handle: Callable[[UnitOfWork], Handling],
        refuse_with: Refusal | None = None,
    ) -> Reply | Refusal | Outward:
        return await self._write(lambda session: self._within(session, operation, request, handle, refuse_with))

    async def _write(self, act: Callable[[Session], T]) -> T:
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                return await self._database.write(act)
            except ConcurrencyError:
                if attempt == CONFLICT_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _within(
        self,
        session: Session,
        operation: Operation[C],
        request: Request,
        handle: Callable[[UnitOfWork], Handling],
        refuse_with: Refusal | None,
    ) -> Reply | Refusal | Outward:
        entries = barrier.entries_of(session, request.key)
        verdict = barrier.judge(request, entries)
        if isinstance(verdict, Answered):
            return verdict.reply
        row = entries.get(request.command) or _new_row(request)
        unit = self._unit(session, row)
        handling: Handling
        # An intended action may have had its effect outside: to refuse it now would deny what happened.
        if refuse_with and not (isinstance(verdict, Proceed) and verdict.resumed):
            handling = refuse_with
        elif isinstance(verdict, Settled):
            handling = verdict.outcome
        else:
            handling = handle(unit)
        if isinstance(handling, Outward):
            if operation.phase is CommandPhase.ACTION:
                _keep(session, row)
            return handling
        return _record(session, operation, row, entries, handling, unit)

    def _conclude_within(
        self, session: Session, operation: Operation[C], key: str, handle: Conclusion
    ) -> Reply | Refusal | None:
        entries = barrier.entries_of(session, key)
        row = barrier.under_way(entries, operation.name)
        if row is None:
            return None
        unit = self._unit(session, row)
        handling = handle(unit)
        if isinstance(handling, Refusal) and not operation.stores_refusal(handling.code):
            raise TypeError(f"{operation.name} declares no refusal {handling.code}")
        return _record(session, operation, row, entries, handling, unit)

    def _unit(self, session: Session, row: CommandRow) -> UnitOfWork:
        return UnitOfWork(session, self._snapshots, Origin(row.key, row.command, row.saga_id))


class KeysInFlight:
    """Lets one command of a name and key run at a time, and the others wait for it, within limits."""

    def __init__(self) -> None:
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def claim(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(IN_FLIGHT_WAIT_S):
                await lock.acquire()
        except TimeoutError:
            raise TryLater("KEY_IN_PROGRESS", "the same command is still in progress") from None
        try:
            yield
        finally:
            lock.release()


def _request(operation: Operation[C], command: C, key: str) -> Request:
    return Request(
        key=key,
        command=operation.name,
        phase=operation.phase,
        stream=operation.stream_of(command),
        saga_id=getattr(command, "saga_id", None),
        digest=operation.digest(command),
        undoes=operation.undoes.__name__ if operation.undoes else None,
    )


def _new_row(request: Request) -> CommandRow:
    return CommandRow(
        key=request.key,
        command=request.command,
        phase=request.phase,
        stream=request.stream,
        saga_id=request.saga_id,
        body_digest=request.digest,
        outcome=EntryState.INTENDED,
        recorded_at=datetime.now(UTC),
    )


def _record(
    session: Session,
    operation: AnyOperation,
    row: CommandRow,
    entries: Entries,
    handling: Outcome | Refusal,
    unit: UnitOfWork,
) -> Reply | Refusal:
    """Writes what became of a command, and gives its answer."""
    if isinstance(handling, Refusal):
        if operation.stores_refusal(handling.code):
            row.outcome, row.reply = EntryState.REFUSED, asdict(handling)
            _keep(session, row)
        return handling
    # Of an accepted action, what happened when it was accepted is part of it.
    earlier = Reply.model_validate(row.reply).events if row.reply else ()
    reply = Reply(outcome=handling, events=(*earlier, *unit.added_to(row.stream)))
    action = entries.get(operation.undoes.__name__) if operation.undoes else None
    if handling is Outcome.ALREADY_DONE:
        # The fence found out outside that the action, whose process died, had happened. Now it is on record.
        assert action is not None  # noqa: S101 - the barrier answers for an action that never came
        action.outcome, action.reply = (
            Outcome.DONE,
            Reply(outcome=Outcome.DONE, events=reply.events).model_dump(mode="json"),
        )
        _keep(session, action)
        return Reply(outcome=Outcome.ALREADY_DONE)
    if action is not None and action.outcome == Outcome.ACCEPTED:
        barrier.call_off(action)
        _keep(session, action)
    row.outcome, row.reply = handling, reply.model_dump(mode="json")
    _keep(session, row)
    return reply


def _keep(session: Session, row: CommandRow) -> None:
    """With the place in the log at which it is written: an undo's row so tells what came after it."""
    row.position = event_log.log_head(session)
    session.add(row)
