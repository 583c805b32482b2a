"""Finds what a few sagas did to a stream that all of them share."""

from alembic import op

revision = "kernel_0004"
down_revision = "kernel_0003"


def upgrade() -> None:
    op.create_index("events_of_saga", "events", ["stream", "saga_id"])
