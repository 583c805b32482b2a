"""What came back: units taken back, and money refunded. There was none before this revision."""

import sqlalchemy as sa
from alembic import op

from services.kernel.columns import BigInt

revision = "views_0002"
down_revision = "views_0001"


def upgrade() -> None:
    op.add_column("view_money", sa.Column("refunded_minor", BigInt, server_default="0", nullable=False))
    op.add_column("view_stock", sa.Column("taken_back", BigInt, server_default="0", nullable=False))
