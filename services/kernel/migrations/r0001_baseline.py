"""The four tables that every service has."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt, Ordered, UtcTime
from services.kernel.migration_steps import create_partial_index

revision = "kernel_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "commands",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("saga_id", sa.String(), nullable=True),
        sa.Column("body_digest", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reply", sa.JSON(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", "command"),
    )
    op.create_index("ix_commands_stream", "commands", ["stream"])
    op.create_table(
        "events",
        sa.Column("position", BigInt, nullable=False),
        sa.Column("stream", Ordered, nullable=False),
        sa.Column("version", BigInt, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("saga_id", sa.String(), nullable=True),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("stream", "version"),
        sqlite_autoincrement=True,
    )
    create_partial_index("events_first", "events", ["stream"], where="version = 1")
    op.create_table(
        "fault_enactments",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("fault", sa.String(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "phase", "fault"),
    )
    op.create_table(
        "log",
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("log_id"),
    )
