"""What the first revision of every consumer's database begins with. A later change of these tables is one for each."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt, UtcTime


def create_consumer_tables() -> None:
    op.create_table(
        "cursors",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("position", BigInt, nullable=False),
        sa.Column("moved_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "service"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("place", BigInt, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("version", BigInt, nullable=False),
        sa.Column("event", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("generation", "service", "log_id", "stream", "version"),
    )
    op.create_table(
        "dropped_events",
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("version", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("service", "log_id", "stream", "version"),
    )
    op.create_table(
        "generations",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column(
            "state", sa.Enum("BUILDING", "ACTIVE", "RETIRED", name="generationstate", native_enum=False), nullable=False
        ),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("active_since", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("generation"),
    )
    op.create_table(
        "parked_streams",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("next_version", BigInt, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("resumed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("generation", "service", "stream"),
    )
