"""Public events, built by hand: the logs of three services in the making."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contracts import events as public
from contracts.events import EventData, PublicEvent
from contracts.sagas import Cause

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
AMOUNT = 2500


class Logs:
    """Each event comes one second after the one before, in whichever service."""

    def __init__(self) -> None:
        self.of: dict[str, list[PublicEvent]] = defaultdict(list)
        self.now = EPOCH
        self._versions: Counter[tuple[str, str]] = Counter()

    def add(self, service: str, fact: EventData, *, stream: str, subject: str | None = None) -> PublicEvent:
        self.now += timedelta(seconds=1)
        self._versions[service, stream] += 1
        event = PublicEvent.of(
            service,
            fact,
            subject=subject or stream,
            time=self.now,
            causationid=f"key-{stream}/Command",
            sagaid=f"order-{subject or stream}",
            stream=stream,
            streamversion=self._versions[service, stream],
            position=len(self.of[service]) + 1,
            logid=f"log-of-{service}",
        )
        self.of[service].append(event)
        return event

    @property
    def all(self) -> list[PublicEvent]:
        """In the order in which they happened."""
        return sorted((event for log in self.of.values() for event in log), key=lambda event: event.time)

    def receive(self, sku: str, quantity: int) -> PublicEvent:
        received = public.StockReceived(sku=sku, quantity=quantity, delivery=f"receive-{sku}")
        return self.add("shipping", received, stream=f"stock-{sku}")

    def place(self, *, customer: str = "cust-1", currency: str = "EUR") -> str:
        """The id of a new order."""
        order_id = str(uuid4())
        line = public.OrderLine(sku="BOOK-1", quantity=1, unit_price_minor=AMOUNT)
        placed = public.OrderPlaced(customer_id=customer, currency=currency, total_minor=AMOUNT, lines=(line,))
        self.add("order", placed, stream=order_id)
        return order_id

    def confirm(self, order_id: str) -> None:
        self.add("order", public.OrderConfirmed(), stream=order_id)

    def reject(self, order_id: str, cause: Cause = Cause.FAILED) -> None:
        self.add("order", public.OrderRejected(cause=cause), stream=order_id)

    def authorize(self, order_id: str, *, currency: str = "EUR") -> None:
        fact = public.PaymentAuthorized(authorization=f"auth-{order_id}", amount_minor=AMOUNT, currency=currency)
        self.add("payment", fact, stream=order_id)

    def settle(
        self, order_id: str, as_what: type[public.PaymentCaptured | public.PaymentVoided | public.PaymentExpired]
    ) -> PublicEvent:
        return self.add("payment", as_what(authorization=f"auth-{order_id}"), stream=order_id)

    def book(self, order_id: str, sku: str, quantity: int = 2) -> None:
        unit = public.Unit(sku=sku, quantity=quantity)
        self.add("shipping", public.ShipmentBooked(units=(unit,)), stream=order_id)
        self._move(order_id, public.StockBooked(sku=sku, quantity=quantity))

    def request(self, order_id: str, sku: str, quantity: int = 2) -> None:
        """A carrier was asked: of that, only the stock tells."""
        self._move(order_id, public.StockBooked(sku=sku, quantity=quantity))

    def withdraw(self, order_id: str, sku: str, quantity: int = 2) -> None:
        self._move(order_id, public.StockReturned(sku=sku, quantity=quantity))

    def refuse(self, order_id: str, sku: str, quantity: int = 2) -> None:
        refused = public.ShipmentBookingRefused(code="UNDELIVERABLE_ADDRESS", message="no carrier delivers to AQ")
        self.add("shipping", refused, stream=order_id)
        self.withdraw(order_id, sku, quantity)

    def cancel(self, order_id: str, sku: str, quantity: int = 2) -> None:
        self.add("shipping", public.ShipmentCancelled(), stream=order_id)
        self._move(order_id, public.StockReturned(sku=sku, quantity=quantity))

    def dispatch(self, order_id: str, sku: str, quantity: int = 2) -> None:
        self.add("shipping", public.ShipmentDispatched(), stream=order_id)
        self._move(order_id, public.StockDispatched(sku=sku, quantity=quantity))

    def open_return(self, order_id: str) -> None:
        self.add("order", public.ReturnOpened(), stream=order_id)
        self.add("shipping", public.ShipmentRecalled(), stream=order_id)

    def withdraw_return(self, order_id: str) -> None:
        self.add("shipping", public.ShipmentRecallCancelled(), stream=order_id)
        self.add("order", public.ReturnWithdrawn(), stream=order_id)

    def refund(self, order_id: str, amount_minor: int = AMOUNT) -> None:
        refunded = public.PaymentRefunded(authorization=f"auth-{order_id}", amount_minor=amount_minor)
        self.add("payment", refunded, stream=order_id)

    def take_back(self, order_id: str, sku: str, quantity: int = 2) -> None:
        self.add("shipping", public.ShipmentReturned(), stream=order_id)
        self._move(order_id, public.StockTakenBack(sku=sku, quantity=quantity))
        self.add("order", public.OrderReturned(), stream=order_id)

    def fulfil(self, sku: str, *, customer: str = "cust-1", currency: str = "EUR") -> str:
        """The id of a new order that goes all the way."""
        order_id = self.place(customer=customer, currency=currency)
        self.authorize(order_id, currency=currency)
        self.book(order_id, sku)
        self.settle(order_id, public.PaymentCaptured)
        self.confirm(order_id)
        self.dispatch(order_id, sku)
        return order_id

    def compensate(self, sku: str, *, customer: str = "cust-1", cause: Cause = Cause.FAILED) -> str:
        """The id of a new order that is taken back after its shipment was booked."""
        order_id = self.place(customer=customer)
        self.authorize(order_id)
        self.book(order_id, sku)
        self.cancel(order_id, sku)
        self.settle(order_id, public.PaymentVoided)
        self.reject(order_id, cause)
        return order_id

    def _move(
        self,
        order_id: str,
        moved: public.StockBooked | public.StockReturned | public.StockDispatched | public.StockTakenBack,
    ) -> None:
        self.add("shipping", moved, stream=f"stock-{moved.sku}", subject=order_id)
