"""What an audit of everything looks at. Building the read model anew fills it, which the views begin by themselves.

Events that were taken before have no cause here; as long as there are any, no audit calls the ledgers complete.
"""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt, Ordered, UtcTime
from services.kernel.migration_steps import create_partial_index

revision = "views_0003"
down_revision = "views_0002"


def upgrade() -> None:
    op.add_column("view_events", sa.Column("causationid", sa.String(), nullable=True))
    create_partial_index("view_events_uncaused", "view_events", ["generation"], where="causationid IS NULL")
    op.create_table(
        "view_standings",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("order_id", Ordered, nullable=False),
        sa.Column(
            "standing",
            sa.Enum("OPEN", "COMPLETED", "COMPENSATED", name="standing", native_enum=False),
            nullable=False,
        ),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("saga_id", sa.String(), nullable=True),
        sa.Column("ledger", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "order_id"),
    )
    op.create_index("view_standings_counted", "view_standings", ["generation", "standing"])
    create_partial_index(
        "view_standings_open", "view_standings", ["generation", "since", "order_id"], where="standing = 'OPEN'"
    )
    op.create_table(
        "view_holds",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("order_id", Ordered, nullable=False),
        sa.Column("authorization", sa.String(), nullable=False),
        sa.Column("amount_minor", BigInt, nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("HELD", "CAPTURED", "VOIDED", "EXPIRED", name="holdstatus", native_enum=False),
            nullable=False,
        ),
        sa.Column("refunded_minor", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("generation", "order_id", "authorization"),
    )
    op.create_table(
        "view_findings",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("invariant", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("position", BigInt, nullable=False),
        sa.Column("order_id", sa.String(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "invariant", "service", "position"),
    )
