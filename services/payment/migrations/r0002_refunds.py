"""Money that goes back: the gateway's refunds, and the test card that takes none."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt

revision = "gateway_0002"
down_revision = "gateway_0001"


def upgrade() -> None:
    op.create_table(
        "gateway_refunds",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("authorization", sa.String(), nullable=True),
        sa.Column(
            "answer",
            sa.Enum(
                "REFUNDED",
                "REFUSED",
                "NOT_CAPTURED",
                "ALREADY_REFUNDED",
                "CANCELLED",
                name="refundanswer",
                native_enum=False,
            ),
            nullable=False,
        ),
        sa.Column("amount_minor", BigInt, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_gateway_refunds_authorization", "gateway_refunds", ["authorization"])
    op.create_index("ix_gateway_refunds_reference", "gateway_refunds", ["reference"])
    op.add_column(
        "gateway_holds", sa.Column("refuses_refunds", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
