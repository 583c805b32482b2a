"""The services' public logs, written by hand as real sagas write them, or as they never should.

Unlike event_logs.py each event names the command that really leads to it, because that is what an audit looks at.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contracts import events as public
from contracts.events import EventData, PublicEvent
from contracts.sagas import Cause

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = 1250


class PublicLogs:
    """Each event comes one second after the one before, in whichever service."""

    def __init__(self) -> None:
        self.events: list[PublicEvent] = []
        """In the order in which they happened."""
        self.heads: Counter[str] = Counter({"order": 0, "payment": 0, "shipping": 0})
        self._versions: Counter[tuple[str, str]] = Counter()

    def add(
        self,
        service: str,
        fact: EventData,
        cause: str,
        *,
        stream: str,
        subject: str | None = None,
        saga_id: str | None = None,
    ) -> str:
        """The event's id, as audits name it.

        Args:
            cause: `key/command`.
        """
        self._versions[service, stream] += 1
        self.heads[service] += 1
        version = self._versions[service, stream]
        self.events.append(
            PublicEvent.of(
                service,
                fact,
                subject=subject or stream,
                time=EPOCH + timedelta(seconds=len(self.events)),
                causationid=cause,
                sagaid=saga_id,
                stream=stream,
                streamversion=version,
                position=self.heads[service],
                logid=f"log-of-{service}",
            )
        )
        return f"{service} {stream}:{version}"

    def receive(self, sku: str, quantity: int) -> str:
        fact = public.StockReceived(sku=sku, quantity=quantity, delivery=f"seed:{sku}")
        return self.add("shipping", fact, f"seed:{sku}/ReceiveStock", stream=f"stock-{sku}")

    def of(self, service: str) -> list[PublicEvent]:
        return [event for event in self.events if event.service == service]


@dataclass(frozen=True, slots=True)
class SagaLog:
    """What one saga does. Each act answers the ids of the events that it adds."""

    logs: PublicLogs
    order_id: str
    units: dict[str, int]
    currency: str = "EUR"

    @property
    def total(self) -> int:
        return PRICE * sum(self.units.values())

    def key(self, step: str) -> str:
        return f"order-{self.order_id}:{step}"

    def add(
        self, service: str, fact: EventData, step: str, command: str, *, stream: str | None = None, saga: str = "order"
    ) -> str:
        saga_id = f"{saga}-{self.order_id}"
        return self.logs.add(
            service,
            fact,
            f"{saga_id}:{step}/{command}",
            stream=stream or self.order_id,
            subject=self.order_id,
            saga_id=saga_id,
        )

    def place(self) -> str:
        lines = tuple(public.OrderLine(sku=sku, quantity=n, unit_price_minor=PRICE) for sku, n in self.units.items())
        placed = public.OrderPlaced(customer_id="cust-1", currency=self.currency, total_minor=self.total, lines=lines)
        return self.add("order", placed, "place_order", "PlaceOrder")

    def reject(self) -> str:
        return self.add("order", public.OrderRejected(cause=Cause.REFUSED), "place_order", "RejectOrder")

    def confirm(self) -> str:
        return self.add("order", public.OrderConfirmed(), "confirm_order", "ConfirmOrder")

    def authorize(self, amount_minor: int | None = None, *, step: str = "authorize_payment") -> str:
        fact = public.PaymentAuthorized(
            authorization=self.key(step), amount_minor=amount_minor or self.total, currency=self.currency
        )
        return self.add("payment", fact, step, "AuthorizePayment")

    def void(self) -> str:
        fact = public.PaymentVoided(authorization=self.key("authorize_payment"))
        return self.add("payment", fact, "authorize_payment", "ReleasePayment")

    def expire(self) -> str:
        fact = public.PaymentExpired(authorization=self.key("authorize_payment"))
        return self.add("payment", fact, "capture_payment", "CapturePayment")

    def capture(self) -> str:
        fact = public.PaymentCaptured(authorization=self.key("authorize_payment"))
        return self.add("payment", fact, "capture_payment", "CapturePayment")

    def book(self, units: dict[str, int] | None = None) -> str:
        event = self.announce(units)
        self.take()
        return event

    def announce(self, units: dict[str, int] | None = None) -> str:
        """The shipment is booked; its units were set aside before, or will be."""
        contents = tuple(public.Unit(sku=sku, quantity=n) for sku, n in (units or self.units).items())
        return self.add("shipping", public.ShipmentBooked(units=contents), "book_shipment", "BookShipment")

    def take(self) -> str:
        """The units are set aside: all that is heard of a shipment that was requested."""
        return self.move(public.StockBooked, "book_shipment", "BookShipment")

    def give_back(self, command: str = "CancelShipment") -> str:
        return self.move(public.StockReturned, "book_shipment", command)

    def cancel_shipment(self) -> str:
        event = self.add("shipping", public.ShipmentCancelled(), "book_shipment", "CancelShipment")
        self.give_back()
        return event

    def refuse_shipment(self) -> str:
        refused = public.ShipmentBookingRefused(code="UNDELIVERABLE_ADDRESS", message="no carrier delivers to AQ")
        event = self.add("shipping", refused, "book_shipment", "BookShipment")
        self.give_back("BookShipment")
        return event

    def dispatch(self) -> str:
        event = self.add("shipping", public.ShipmentDispatched(), "dispatch_shipment", "DispatchShipment")
        self.move(public.StockDispatched, "dispatch_shipment", "DispatchShipment")
        return event

    def open_return(self) -> str:
        return self.add("order", public.ReturnOpened(), "open_return", "OpenReturn", saga="return")

    def withdraw_return(self) -> str:
        return self.add("order", public.ReturnWithdrawn(), "open_return", "WithdrawReturn", saga="return")

    def recall(self) -> str:
        return self.add("shipping", public.ShipmentRecalled(), "recall_shipment", "RecallShipment", saga="return")

    def cancel_recall(self) -> str:
        fact = public.ShipmentRecallCancelled()
        return self.add("shipping", fact, "recall_shipment", "CancelRecall", saga="return")

    def refund(self, amount_minor: int | None = None) -> str:
        fact = public.PaymentRefunded(
            authorization=self.key("authorize_payment"), amount_minor=amount_minor or self.total
        )
        return self.add("payment", fact, "refund_payment", "RefundPayment", saga="return")

    def receive(self) -> str:
        event = self.add("shipping", public.ShipmentReturned(), "receive_shipment", "ReceiveShipment", saga="return")
        self.move(public.StockTakenBack, "receive_shipment", "ReceiveShipment", saga="return")
        return event

    def close_return(self) -> str:
        return self.add("order", public.OrderReturned(), "close_order", "CloseReturn", saga="return")

    def move(
        self,
        how: type[public.StockBooked | public.StockReturned | public.StockDispatched | public.StockTakenBack],
        step: str,
        command: str,
        units: dict[str, int] | None = None,
        *,
        saga: str = "order",
    ) -> str:
        """The last of the events, one for each SKU."""
        ids = [
            self.add("shipping", how(sku=sku, quantity=quantity), step, command, stream=f"stock-{sku}", saga=saga)
            for sku, quantity in (units or self.units).items()
        ]
        return ids[-1]

    def complete(self) -> "SagaLog":
        return self.does(*ENDINGS["completed"])

    def compensate(self) -> "SagaLog":
        return self.does(*ENDINGS["turned back at the pivot"])

    def does(self, *acts: str) -> "SagaLog":
        for act in acts:
            getattr(self, act)()
        return self


_COMPLETED = ("place", "authorize", "book", "capture", "confirm", "dispatch")
ENDINGS: dict[str, tuple[str, ...]] = {
    "completed": _COMPLETED,
    "returned": (*_COMPLETED, "open_return", "recall", "refund", "receive", "close_return"),
    "return withdrawn": (*_COMPLETED, "recall", "open_return", "cancel_recall", "withdraw_return"),
    "completed by event": ("place", "authorize", "take", "announce", "capture", "confirm", "dispatch"),
    "card declined": ("place", "reject"),
    "out of stock": ("place", "authorize", "void", "reject"),
    "turned back at the pivot": ("place", "authorize", "book", "cancel_shipment", "void", "reject"),
    "expired at the pivot": ("place", "authorize", "book", "expire", "cancel_shipment", "reject"),
    "no carrier": ("place", "authorize", "take", "refuse_shipment", "void", "reject"),
    "withdrawn": ("place", "authorize", "take", "give_back", "void", "reject"),
    "withdrawn, with the money stuck": ("place", "authorize", "take", "give_back", "reject", "void"),
}
"""Ways that sagas go, act by act."""
COMPLETE = ("completed", "completed by event", "returned", "return withdrawn")


def is_at_rest(ending: tuple[str, ...], acts: int) -> bool:
    """Whether so many acts of an ending leave everything as it must be when a saga has ended."""
    return acts == len(ending) or ending[:acts] == _COMPLETED


def a_saga(logs: PublicLogs, **units: int) -> SagaLog:
    """A new one, about an order of its own. Its SKUs have no dash."""
    return SagaLog(logs, str(uuid4()), units or {"BOOK": 2, "PEN": 1})


def stocked() -> PublicLogs:
    logs = PublicLogs()
    for sku in ("BOOK", "PEN"):
        logs.receive(sku, 100)
    return logs
