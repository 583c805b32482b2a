"""Reading and moving cursors, within a transaction of whoever calls."""

from datetime import UTC, datetime

from sqlmodel import Session

from messaging.port import Cursor
from services.kernel.consumer.tables import CursorRow


def cursor_at(session: Session, generation: int, service: str) -> Cursor:
    row = session.get(CursorRow, (generation, service))
    return Cursor(row.log_id, row.position) if row else Cursor()


def move_cursor(session: Session, generation: int, service: str, to: Cursor) -> None:
    row = session.get(CursorRow, (generation, service)) or CursorRow(
        generation=generation, service=service, log_id="", position=0, moved_at=datetime.now(UTC)
    )
    row.log_id, row.position, row.moved_at = to.log_id or "", to.position, datetime.now(UTC)
    session.add(row)


def forget_cursor(session: Session, generation: int, service: str) -> None:
    row = session.get(CursorRow, (generation, service))
    if row:
        session.delete(row)
