"""Where the log ended when a command was recorded; and finds compensations and fences among all commands."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt
from services.kernel.migration_steps import create_partial_index

revision = "kernel_0003"
down_revision = "kernel_0002"


def upgrade() -> None:
    # Nobody can say it of what is there already; the audit compares clocks there, as it did before.
    op.add_column("commands", sa.Column("position", BigInt, nullable=True))
    create_partial_index("commands_undoing", "commands", ["stream"], where="phase IN ('undo', 'fence')")
