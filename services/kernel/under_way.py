"""Finds accepted commands whose outcome is not known yet, within a transaction of whoever calls.

One that was undone is not under way any more. A partial index holds the others alone, so looking costs the same however
many commands there ever were.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session, col, select

from services.kernel.tables import CommandRow

# Spelled as the index has it, since a parameter would keep databases from using it.
_UNDER_WAY = text("outcome = 'accepted'")


def commands_under_way(session: Session, name: str, *, limit: int) -> Sequence[CommandRow]:
    """The commands of a name, those accepted first coming first."""
    return session.exec(
        select(CommandRow)
        .where(_UNDER_WAY, col(CommandRow.command) == name)
        .order_by(col(CommandRow.recorded_at))
        .limit(limit)
    ).all()
