"""What the outside is told of a payment's events."""

from typing import assert_never

from contracts import events as public
from services.kernel.aggregates import Announcement
from services.payment.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentExpired,
    PaymentRefunded,
    PaymentVoided,
)


def announce(event: PaymentEvent, stream: str) -> Announcement:
    return Announcement(_data(event), order_id=stream)


def _data(event: PaymentEvent) -> public.EventData:
    match event:
        case PaymentAuthorized():
            return public.PaymentAuthorized(
                authorization=event.authorization, amount_minor=event.amount_minor, currency=event.currency
            )
        case PaymentVoided():
            return public.PaymentVoided(authorization=event.authorization)
        case PaymentExpired():
            return public.PaymentExpired(authorization=event.authorization)
        case PaymentCaptured():
            return public.PaymentCaptured(authorization=event.authorization)
        case PaymentRefunded():
            return public.PaymentRefunded(authorization=event.authorization, amount_minor=event.amount_minor)
        case _:
            assert_never(event)
