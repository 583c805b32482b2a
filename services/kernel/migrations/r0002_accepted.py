"""Finds the accepted commands whose outcome is not known yet."""

from services.kernel.migration_steps import create_partial_index

revision = "kernel_0002"
down_revision = "kernel_0001"


def upgrade() -> None:
    create_partial_index("commands_accepted", "commands", ["recorded_at"], where="outcome = 'accepted'")
