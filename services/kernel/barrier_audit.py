"""Whether a service's barrier has kept its word: its undos' rows against all events of its log, in one query each.

Tombstones leave no event, so nobody outside can tell what they have kept out. Here the two lie in one database, and the
row of an undo says where the log ended when it was written: what its action has added behind that should not be there.
Of rows from before that was kept, clocks have to tell.

The cost is that of the undos there ever were, found by an index of their own, not that of all commands and events.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter
from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlmodel import Session, col

from contracts.audits import EXAMPLES, BarrierAudit, Finding, Findings, Invariant
from contracts.wire import Outcome
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.operations import AnyOperation
from services.kernel.tables import UNDOING, CommandRow, EventRow

BARRIER_AUDIT_PATH = "/audit/barrier"
_TAKEN = (Outcome.DONE, Outcome.NOTHING_TO_UNDO, Outcome.FENCED)
"""The outcomes of undos after which their action is barred."""
_TOMBSTONES = (Outcome.NOTHING_TO_UNDO, Outcome.FENCED)


def barrier_audit_routes(service: str, database: Database, operations: Sequence[AnyOperation]) -> APIRouter:
    router = APIRouter(tags=["audit"])

    @router.get(BARRIER_AUDIT_PATH)
    async def audit_barrier_of_service() -> BarrierAudit:
        """Hold all compensations and fences on record to the events of the log."""
        return await database.read(lambda session: audit_barrier(session, service, operations))

    return router


def audit_barrier(session: Session, service: str, operations: Sequence[AnyOperation]) -> BarrierAudit:
    undone_by = {operation.name: operation.undoes.__name__ for operation in operations if operation.undoes}
    undos, tombstones = _counts(session)
    findings = (
        _found(session, service, Invariant.NAMED, _done_for_nothing(), "says done, and has changed nothing"),
        _found(session, service, Invariant.TOMBSTONE, _late_actions(undone_by), "came after"),
    )
    return BarrierAudit(
        position=event_log.log_head(session),
        undos=undos,
        tombstones=tombstones,
        findings=tuple(found for found in findings if found.count),
    )


def _counts(session: Session) -> tuple[int, int]:
    tombstone = case((col(CommandRow.outcome).in_(_TOMBSTONES), 1), else_=0)
    undos, tombstones = session.execute(
        select(func.count(), func.coalesce(func.sum(tombstone), 0)).select_from(CommandRow).where(UNDOING)
    ).one()
    return int(undos), int(tombstones)


def _late_actions(undone_by: dict[str, str]) -> Select[*tuple[Any, ...]]:
    """Each event that an action has added although its undo was on record."""
    undo, event = CommandRow, EventRow
    of_pair: ColumnElement[bool] = or_(
        *(and_(col(undo.command) == name, col(event.command) == action) for name, action in undone_by.items())
    )
    came_after = or_(
        col(event.position) > col(undo.position),
        and_(col(undo.position).is_(None), col(event.recorded_at) > col(undo.recorded_at)),
    )
    return (
        select(col(undo.stream), col(undo.key), col(undo.command), col(event.type), col(event.version))
        .select_from(undo)
        .join(event, and_(col(event.stream) == col(undo.stream), col(event.key) == col(undo.key)))
        .where(UNDOING, col(undo.outcome).in_(_TAKEN), of_pair, came_after)
        .order_by(col(event.position))
    )


def _done_for_nothing() -> Select[*tuple[Any, ...]]:
    """Each undo that says done without any event of its own."""
    undo, event = CommandRow, EventRow
    changed = select(col(event.position)).where(
        col(event.stream) == col(undo.stream),
        col(event.key) == col(undo.key),
        col(event.command) == col(undo.command),
    )
    return (
        select(col(undo.stream), col(undo.key), col(undo.command))
        .where(UNDOING, col(undo.outcome) == Outcome.DONE, ~changed.exists())
        .order_by(col(undo.recorded_at))
    )


def _found(session: Session, service: str, invariant: Invariant, rows: Select[*tuple[Any, ...]], what: str) -> Findings:
    count = session.execute(select(func.count()).select_from(rows.order_by(None).subquery())).scalar_one()
    examples = session.execute(rows.limit(EXAMPLES)).all() if count else ()
    return Findings(invariant=invariant, count=count, examples=tuple(_findings(service, examples, what)))


def _findings(service: str, rows: Iterable[Any], what: str) -> Iterable[Finding]:
    for stream, key, command, *event in rows:
        if not event:
            yield Finding(what=f"{service}: {command} for {key} {what}", events=())
            continue
        event_type, version = event
        yield Finding(
            what=f"{service}: {event_type} for {key} {what} {command}", events=(f"{service} {stream}:{version}",)
        )
