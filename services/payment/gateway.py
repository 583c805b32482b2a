"""The port to whoever moves the money. Our idempotency keys are the gateway's: asking again changes nothing.

What every adapter must keep, as real gateways do:
- the same key again gets the same answer;
- a void or a cancellation of a key that was never seen leaves a tombstone: what comes later with that key is refused;
- no more is ever paid back of an authorization than was captured, whatever the keys;
- amounts held, voided, expired, captured and paid back are in the gateway's own books, found by `reference` (the
  order's id).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class AuthorizationAnswer(StrEnum):
    HELD = "held"
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    VOIDED = "voided"
    """The key was voided before."""


class VoidAnswer(StrEnum):
    VOIDED = "voided"
    NOTHING_HELD = "nothing_held"
    EXPIRED = "expired"
    CAPTURED = "captured"
    """Too late: nothing was changed."""


class CaptureAnswer(StrEnum):
    CAPTURED = "captured"
    EXPIRED = "expired"
    NOT_HELD = "not_held"
    CANCELLED = "cancelled"
    """The key was cancelled before."""


class RefundAnswer(StrEnum):
    REFUNDED = "refunded"
    REFUSED = "refused"
    """The card takes no money back."""
    NOT_CAPTURED = "not_captured"
    ALREADY_REFUNDED = "already_refunded"
    """With another key."""
    CANCELLED = "cancelled"
    """The key was cancelled before."""


@dataclass(frozen=True, slots=True)
class Refunded:
    answer: RefundAnswer
    amount_minor: int = 0
    """What was paid back."""


@dataclass(frozen=True, slots=True)
class Voided:
    answer: VoidAnswer
    amount_minor: int = 0
    """What had been held, in case we do not know."""
    currency: str = ""


class PaymentGateway(Protocol):
    async def authorize(
        self, key: str, *, reference: str, amount_minor: int, currency: str, token: str
    ) -> AuthorizationAnswer:
        """Holds the amount on the card."""

    async def void(self, key: str, *, reference: str) -> Voided:
        """Lets go of what was held with this key, and makes sure that nothing will be."""

    async def capture(self, key: str, *, reference: str, authorization: str) -> CaptureAnswer:
        """Takes the whole amount that was held with the key `authorization`."""

    async def cancel_capture(self, key: str, *, reference: str) -> CaptureAnswer:
        """Makes sure that a capture with this key never happens; CAPTURED if it has."""

    async def refund(self, key: str, *, reference: str, authorization: str) -> Refunded:
        """Pays back the whole amount that was captured of the key `authorization`."""

    async def cancel_refund(self, key: str, *, reference: str) -> Refunded:
        """Makes sure that a refund with this key never happens; REFUNDED if it has."""
