"""What every consumer keeps, and the read model. A new SQLite database expects many orders (docs/decisions/0009)."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt, Ordered, UtcTime
from services.kernel.consumer.migrations import create_consumer_tables
from services.kernel.migration_steps import create_partial_index

revision = "views_0001"
down_revision = None


def upgrade() -> None:
    create_consumer_tables()
    op.create_table(
        "view_events",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("position", BigInt, nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("streamversion", BigInt, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("sku", sa.String(), nullable=True),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("generation", "service", "position"),
    )
    create_partial_index(
        "view_events_by_sku", "view_events", ["generation", "sku", "position"], where="sku IS NOT NULL"
    )
    op.create_index("view_events_by_subject", "view_events", ["generation", "subject", "service", "position"])
    op.create_table(
        "view_money",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("currency", Ordered, nullable=False),
        sa.Column("authorized_minor", BigInt, nullable=False),
        sa.Column("captured_minor", BigInt, nullable=False),
        sa.Column("voided_minor", BigInt, nullable=False),
        sa.Column("expired_minor", BigInt, nullable=False),
        sa.Column("held_minor", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("generation", "currency"),
    )
    op.create_table(
        "view_orders",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("order_id", Ordered, nullable=False),
        sa.Column("saga_id", sa.String(), nullable=True),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("total_minor", BigInt, nullable=True),
        sa.Column("placed_at", UtcTime(), nullable=True),
        sa.Column(
            "status", sa.Enum("PENDING", "CONFIRMED", "REJECTED", name="orderstatus", native_enum=False), nullable=False
        ),
        sa.Column(
            "cause",
            sa.Enum("REFUSED", "FAILED", "CANCELLED", "DEADLINE", name="cause", native_enum=False),
            nullable=True,
        ),
        sa.Column("holds", sa.JSON(), nullable=False),
        sa.Column(
            "shipment",
            sa.Enum("NONE", "BOOKED", "CANCELLED", "DISPATCHED", name="shipmentstatus", native_enum=False),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("generation", "order_id"),
    )
    create_partial_index(
        "view_orders_all",
        "view_orders",
        ["generation", "placed_at", "order_id"],
        where="placed_at IS NOT NULL",
    )
    create_partial_index(
        "view_orders_by_cause",
        "view_orders",
        ["generation", "cause", "placed_at", "order_id"],
        where="placed_at IS NOT NULL AND cause IS NOT NULL",
    )
    create_partial_index(
        "view_orders_by_customer",
        "view_orders",
        ["generation", "customer_id", "placed_at", "order_id"],
        where="placed_at IS NOT NULL",
    )
    create_partial_index(
        "view_orders_by_customer_cause",
        "view_orders",
        ["generation", "customer_id", "cause", "placed_at", "order_id"],
        where="placed_at IS NOT NULL AND cause IS NOT NULL",
    )
    create_partial_index(
        "view_orders_by_customer_status",
        "view_orders",
        ["generation", "customer_id", "status", "placed_at", "order_id"],
        where="placed_at IS NOT NULL",
    )
    create_partial_index(
        "view_orders_by_status",
        "view_orders",
        ["generation", "status", "placed_at", "order_id"],
        where="placed_at IS NOT NULL",
    )
    op.create_table(
        "view_stock",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sku", Ordered, nullable=False),
        sa.Column("received", BigInt, nullable=False),
        sa.Column("on_hand", BigInt, nullable=False),
        sa.Column("booked", BigInt, nullable=False),
        sa.Column("dispatched", BigInt, nullable=False),
        sa.Column("returned", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("generation", "sku"),
    )
    if op.get_bind().dialect.name == "sqlite":
        expect_many_orders()


_EXPECTED = {
    "view_orders_all": "1000000 1000000 1 1",
    "view_orders_by_status": "1000000 1000000 300000 1 1",
    "view_orders_by_cause": "300000 300000 75000 1 1",
    "view_orders_by_customer": "1000000 1000000 10000 1 1",
    "view_orders_by_customer_status": "1000000 1000000 10000 3000 1 1",
    "view_orders_by_customer_cause": "300000 300000 3000 750 1 1",
}


def expect_many_orders() -> None:
    """Writes the planner's statistics. The first ANALYZE makes their table, the last one has them read."""
    expected = ", ".join(f"('view_orders', '{index}', '{numbers}')" for index, numbers in _EXPECTED.items())
    op.execute("ANALYZE sqlite_schema")
    op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES {expected}")  # noqa: S608 - all of it is ours
    op.execute("ANALYZE sqlite_schema")
