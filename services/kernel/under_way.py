"""Finds accepted commands whose outcome is not known yet, within a transaction of whoever calls.

One that was undone is not under way any more. A partial index holds the others alone, so looking costs the same however
many commands there ever were.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, text
from sqlmodel import Session, col, select

from services.kernel.tables import CommandRow

# Spelled as the index has it, since a parameter would keep databases from using it.
_UNDER_WAY = text("outcome = 'accepted'")


Place = tuple[datetime, str]
"""Where a command stands among those under way: when it came, and its key."""


def place_of(row: CommandRow) -> Place:
    return row.recorded_at, row.key


def commands_under_way(session: Session, name: str, *, limit: int, after: Place | None = None) -> Sequence[CommandRow]:
    """The commands of a name, those accepted first coming first; with `after`, those behind that place."""
    at, key = col(CommandRow.recorded_at), col(CommandRow.key)
    rows = select(CommandRow).where(_UNDER_WAY, col(CommandRow.command) == name)
    if after is not None:
        rows = rows.where(at >= after[0], or_(at > after[0], and_(at == after[0], key > after[1])))
    return session.exec(rows.order_by(at, key).limit(limit)).all()
