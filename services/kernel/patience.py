"""How long a process waits for its database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    lock_s: float
    """For the write lock that another process holds."""
    queue_s: float
    """For one of our own connections to become free: our requests queue here, not at the database."""
    statement_s: float
    """For one statement to be carried out."""


SERVING = Patience(lock_s=1.0, queue_s=3.0, statement_s=10.0)
"""Somebody waits for an answer, and can ask again."""

MIGRATING = Patience(lock_s=60.0, queue_s=60.0, statement_s=3600.0)
"""Nobody waits, and large tables may have to be rewritten."""
