"""The facts of an order's payment. Each names the authorization it is about, by the key it was asked for with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaymentAuthorized:
    """The gateway holds the amount for us."""

    authorization: str
    saga_id: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class PaymentVoided:
    authorization: str


@dataclass(frozen=True, slots=True)
class PaymentExpired:
    """The gateway let go of the amount by itself."""

    authorization: str


@dataclass(frozen=True, slots=True)
class PaymentCaptured:
    authorization: str


@dataclass(frozen=True, slots=True)
class PaymentRefunded:
    """What was captured is paid back."""

    authorization: str
    amount_minor: int
    """As the gateway says. We ask for all that was captured."""


PaymentEvent = PaymentAuthorized | PaymentVoided | PaymentExpired | PaymentCaptured | PaymentRefunded
PAYMENT_EVENTS = (PaymentAuthorized, PaymentVoided, PaymentExpired, PaymentCaptured, PaymentRefunded)
