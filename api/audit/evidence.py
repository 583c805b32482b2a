"""All that an audit of one order looks at, and what it says of money, units and the order. Facts, no judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.audit.service_events import Authorized, Moved, OfAuthorization, Placed, Refunded, events_of, told
from api.services import BarrierEntry, Books, Stream
from contracts.sagas import Residue, SagaStatus
from workflows.names import RETURN_PREFIX

FREED_BY = {"PaymentCaptured": "captured", "PaymentVoided": "voided", "PaymentExpired": "expired"}
"""What ends an authorization, and how."""
TAKEN = ("ShipmentRequested", "ShipmentBooked")
"""With which events a shipment takes its units."""
TAKEN_BACK = ("ShipmentBookingRefused", "ShipmentWithdrawn", "ShipmentCancelled")
"""With which it gives them back."""


ENDED = (SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FORCED, SagaStatus.TERMINATED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an audit of one order looks at."""

    order_id: str
    saga_id: str
    """Which saga of the order is held to what it promised."""
    status: SagaStatus
    """What the saga says it is. Nothing else is taken from it but the residue."""
    residue: tuple[Residue, ...] = ()
    order: Stream | None = None
    payment: Stream | None = None
    shipping: Stream | None = None
    stock: Mapping[str, Stream] = field(default_factory=dict)
    """By SKU: its sums now, and the events of this order's sagas."""
    gateway: Books | None = None
    """The payment gateway's own books about the order."""
    returns: Mapping[str, SagaStatus | None] = field(default_factory=dict)
    """The other sagas that return the order, or wanted to, by what they said they were before anything was looked at;
    None for one that nobody knows any more."""

    @property
    def returns_under_way(self) -> tuple[str, ...]:
        return tuple(saga_id for saga_id, status in self.returns.items() if status not in (None, *ENDED))

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The order's own streams."""
        return tuple(stream for stream in (self.order, self.payment, self.shipping) if stream is not None)

    @property
    def barrier(self) -> tuple[BarrierEntry, ...]:
        return tuple(entry for stream in self.streams for entry in stream.barrier)


@dataclass(frozen=True, slots=True)
class Money:
    """Sums of minor units."""

    authorized: int = 0
    captured: int = 0
    voided: int = 0
    expired: int = 0
    refunded: int = 0
    """Of what was captured."""
    astray: tuple[str, ...] = ()
    """Events about an authorization that there is not."""

    @property
    def held(self) -> int:
        return self.authorized - self.captured - self.voided - self.expired


def placed_order(evidence: Evidence) -> Placed | None:
    placed = events_of(evidence.order, "OrderPlaced")
    return told(placed[0], Placed) if placed else None


def holds_of(payment: Stream | None) -> dict[str, tuple[str, int]]:
    """Each authorization with what became of it, and its amount."""
    holds: dict[str, tuple[str, int]] = {}
    for event in events_of(payment, "PaymentAuthorized", *FREED_BY):
        if event.type == "PaymentAuthorized":
            authorized = told(event, Authorized)
            holds[authorized.authorization] = "held", authorized.amount_minor
        else:
            authorization = told(event, OfAuthorization).authorization
            _, amount = holds.get(authorization, ("", 0))
            holds[authorization] = FREED_BY[event.type], amount
    return holds


def live_authorizations(payment: Stream | None) -> list[str]:
    return [authorization for authorization, (became, _) in holds_of(payment).items() if became == "held"]


def money_of(payment: Stream | None) -> Money:
    amounts = {
        authorized.authorization: authorized.amount_minor
        for authorized in (told(event, Authorized) for event in events_of(payment, "PaymentAuthorized"))
    }
    sums: dict[str, Any] = dict.fromkeys(FREED_BY.values(), 0)
    astray = []
    for event in events_of(payment, *FREED_BY):
        authorization = told(event, OfAuthorization).authorization
        if authorization not in amounts:
            astray.append(f"{event.type} of {authorization}")
        sums[FREED_BY[event.type]] += amounts.get(authorization, 0)
    refunds = [told(event, Refunded) for event in events_of(payment, "PaymentRefunded")]
    astray += [f"PaymentRefunded of {one.authorization}" for one in refunds if one.authorization not in amounts]
    refunded = sum(refund.amount_minor for refund in refunds)
    return Money(authorized=sum(amounts.values()), refunded=refunded, astray=tuple(astray), **sums)


def moved(evidence: Evidence, sku: str, event_type: str) -> int:
    """How many units of a SKU such events moved for this order."""
    moves = (told(event, Moved) for event in events_of(evidence.stock.get(sku), event_type))
    return sum(move.quantity for move in moves if move.order_id == evidence.order_id)


def live_shipments(evidence: Evidence) -> int:
    """Shipments requested or booked and not taken back, dispatched or not."""
    live, requested = 0, set[str | None]()
    for event in events_of(evidence.shipping, *TAKEN, *TAKEN_BACK):
        if event.type in TAKEN_BACK:
            live -= 1
        elif event.type == "ShipmentRequested" or event.key not in requested:
            live += 1
        # Once booked, what was requested is the same shipment still; one booked after that is another one.
        requested = requested | {event.key} if event.type == "ShipmentRequested" else requested - {event.key}
    return live


def order_status(evidence: Evidence) -> str:
    """What the order's last event made of it."""
    statuses = {
        "OrderPlaced": "pending",
        "OrderRejected": "rejected",
        "OrderConfirmed": "confirmed",
        "OrderReturned": "returned",
    }
    events = events_of(evidence.order, *statuses)
    return statuses[events[-1].type] if events else "never placed"


def returns_in(evidence: Evidence) -> set[str]:
    """All sagas that have asked anything of the services to return the order, whatever came of it."""
    keys = [*(entry.key for entry in evidence.barrier), *(event.key for s in evidence.streams for event in s.events)]
    sagas = {key.rpartition(":")[0] for key in keys if key}
    return {saga_id for saga_id in sagas if saga_id.startswith(RETURN_PREFIX)}
