"""The one way in which activities talk to services: a command in, a reply out, refusals told from failures.

Guarantees: only a 409 with a declared code (or ALREADY_COMPENSATED) becomes a refusal, which is not retried. Every
other answer, an unreadable one and a lost connection are failures: their effect is unknown, and they are retried.
"""

from contracts.base import Contract
from contracts.faults import Fault


class Call(Contract):
    """What travels beside a command: whose attempt this is, and what may be answered."""

    key: str
    """The idempotency key, `saga_id:step`, shared by a step's action and its compensation or fence."""
    refusals: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    timeout_s: float
