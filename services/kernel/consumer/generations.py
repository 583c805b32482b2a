"""Which building of a read model serves. Every row of a read model carries its generation."""

from datetime import UTC, datetime

from sqlmodel import Session, col, delete, func, select

from services.kernel.consumer.tables import (
    CursorRow,
    DeadLetterRow,
    GenerationRow,
    GenerationState,
    ParkedStreamRow,
)

FIRST = 1


def active_generation(session: Session) -> int:
    """The one that serves; the first, before anything was built."""
    row = session.exec(select(GenerationRow).where(col(GenerationRow.state) == GenerationState.ACTIVE)).first()
    return row.generation if row else FIRST


def ensure_active(session: Session) -> None:
    """Makes the first generation active where there is none, and gives up buildings that a crash has interrupted."""
    now = datetime.now(UTC)
    for row in session.exec(select(GenerationRow).where(col(GenerationRow.state) == GenerationState.BUILDING)).all():
        row.state = GenerationState.RETIRED
        session.add(row)
    if not session.exec(select(GenerationRow).where(col(GenerationRow.state) == GenerationState.ACTIVE)).first():
        first = GenerationRow(generation=FIRST, state=GenerationState.ACTIVE, started_at=now, active_since=now)
        session.add(first)


def begin_generation(session: Session) -> int:
    number = (session.execute(select(func.max(GenerationRow.generation))).scalar() or 0) + 1
    session.add(GenerationRow(generation=number, state=GenerationState.BUILDING, started_at=datetime.now(UTC)))
    return int(number)


def activate(session: Session, generation: int) -> None:
    """Switches to a generation that was built; the one that served so far retires."""
    row = session.get_one(GenerationRow, generation)
    if row.state is not GenerationState.BUILDING:
        raise RuntimeError(f"generation {generation} is {row.state}, and can not become active")
    for former in session.exec(select(GenerationRow).where(col(GenerationRow.state) == GenerationState.ACTIVE)).all():
        former.state = GenerationState.RETIRED
        session.add(former)
    row.state, row.active_since = GenerationState.ACTIVE, datetime.now(UTC)
    session.add(row)


def retire(session: Session, generation: int) -> None:
    session.get_one(GenerationRow, generation).state = GenerationState.RETIRED


def retired_generations(session: Session) -> list[int]:
    rows = session.exec(select(GenerationRow).where(col(GenerationRow.state) == GenerationState.RETIRED)).all()
    return [row.generation for row in rows]


def forget_generation(session: Session, generation: int) -> None:
    """Removes what the consumer itself keeps of a retired generation whose read model is gone."""
    for table in (CursorRow, ParkedStreamRow, DeadLetterRow, GenerationRow):
        session.exec(delete(table).where(col(table.generation) == generation))
