"""The books of the payment gateway simulator."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt

revision = "gateway_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "gateway_captures",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column(
            "answer",
            sa.Enum("CAPTURED", "EXPIRED", "NOT_HELD", "CANCELLED", name="captureanswer", native_enum=False),
            nullable=False,
        ),
        sa.Column("amount_minor", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_gateway_captures_reference", "gateway_captures", ["reference"])
    op.create_table(
        "gateway_holds",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "HELD",
                "DECLINED",
                "INSUFFICIENT_FUNDS",
                "VOIDED",
                "EXPIRED",
                "CAPTURED",
                name="holdstate",
                native_enum=False,
            ),
            nullable=False,
        ),
        sa.Column("amount_minor", BigInt, nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("expires_before_capture", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_gateway_holds_reference", "gateway_holds", ["reference"])
