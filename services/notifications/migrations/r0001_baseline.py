"""What every consumer keeps, the notifications and their recipients."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt, UtcTime
from services.kernel.consumer.migrations import create_consumer_tables
from services.kernel.migration_steps import create_partial_index

revision = "notifications_0001"
down_revision = None


def upgrade() -> None:
    create_consumer_tables()
    op.create_table(
        "notifications",
        sa.Column("place", BigInt, nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("recorded_at", UtcTime(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("service", "event_id", "event_type"),
    )
    op.create_index("ix_notifications_customer_id", "notifications", ["customer_id"])
    op.create_index("ix_notifications_order_id", "notifications", ["order_id"])
    create_partial_index(
        "notifications_unsent",
        "notifications",
        ["due_at"],
        where="sent_at IS NULL AND customer_id IS NOT NULL",
    )
    op.create_table(
        "recipients",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
