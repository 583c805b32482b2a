"""Reading and moving cursors, within a transaction of whoever calls.

Plain statements: done for every page, which often is a single event, they took longer as objects than the event itself.
"""

from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, insert, select, update
from sqlmodel import Session, SQLModel

from messaging.port import Cursor
from services.kernel.consumer.tables import CursorRow

_CURSORS = SQLModel.metadata.tables[str(CursorRow.__tablename__)]
_THIS = (
    _CURSORS.c.generation == bindparam("this_generation"),
    _CURSORS.c.service == bindparam("this_service"),
)
_SELECT = select(_CURSORS.c.log_id, _CURSORS.c.position).where(*_THIS)
_UPDATE = update(_CURSORS).where(*_THIS)
_INSERT = insert(_CURSORS)
_DELETE = delete(_CURSORS).where(*_THIS)


def cursor_at(session: Session, generation: int, service: str) -> Cursor:
    row = session.connection().execute(_SELECT, _this(generation, service)).first()
    return Cursor(row.log_id, row.position) if row else Cursor()


def move_cursor(session: Session, generation: int, service: str, to: Cursor) -> None:
    there = {"log_id": to.log_id or "", "position": to.position, "moved_at": datetime.now(UTC)}
    moved = session.connection().execute(_UPDATE, {**_this(generation, service), **there})
    if not moved.rowcount:
        session.connection().execute(_INSERT, {"generation": generation, "service": service, **there})


def forget_cursor(session: Session, generation: int, service: str) -> None:
    session.connection().execute(_DELETE, _this(generation, service))


def _this(generation: int, service: str) -> dict[str, object]:
    return {"this_generation": generation, "this_service": service}
