"""What every consumer keeps: a forwarder needs no more."""

from services.kernel.consumer.migrations import create_consumer_tables

revision = "relay_0001"
down_revision = None


def upgrade() -> None:
    create_consumer_tables()
