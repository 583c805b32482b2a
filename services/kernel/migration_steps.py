"""Steps of migrations that each back end spells differently."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def create_partial_index(name: str, table: str, columns: Sequence[str], *, where: str) -> None:
    """An index of those rows only."""
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
