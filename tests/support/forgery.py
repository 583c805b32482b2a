"""The services' logs of one order, written by hand, so that tests can forge what must never happen."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from api.audit.evidence import Evidence
from api.services import BarrierEntry, Books, GatewayCapture, GatewayHold, GatewayRefund, StoredEvent, Stream
from contracts.sagas import Residue, SagaStatus

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LINES: list[dict[str, Any]] = [
    {"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250},
    {"sku": "PEN-1", "quantity": 1, "unit_price_minor": 100},
]
TOTAL = 2600
_STEPS_OF_A_RETURN = {"open_return", "recall_shipment", "refund_payment", "receive_shipment", "close_order"}


@dataclass
class Log:
    """A stream in the making."""

    name: str
    events: list[StoredEvent] = field(default_factory=list)
    barrier: list[BarrierEntry] = field(default_factory=list)


class Forgery:
    """Writes logs as the services do, or as they never should. Time passes by one second for each entry."""

    def __init__(self) -> None:
        self.order_id = str(uuid4())
        self.order, self.payment, self.shipping = Log(self.order_id), Log(self.order_id), Log(self.order_id)
        self.stock = {line["sku"]: Log(f"stock-{line['sku']}") for line in LINES}
        self.restated: dict[str, dict[str, int] | None] = {}
        """What a service says of its sums in the place of what its events add up to, by SKU or for `payment`. None
        says nothing at all."""
        self.gateway_holds: dict[str, tuple[str, int]] = {}
        self.gateway_captured = 0
        self.gateway_refunds: dict[str, int] = {}
        self.return_id = f"return-{uuid4()}"
        self.knows_positions = True
        """Whether barrier entries tell their place in the log; old ones do not."""
        self._clock = 0
        for log in self.stock.values():
            self.event(log, "StockReceived", None, "ReceiveStock", quantity=10)

    def key(self, step: str) -> str:
        return f"{self._saga_of(step)}:{step}"

    def _saga_of(self, step: str) -> str:
        return self.return_id if step in _STEPS_OF_A_RETURN else f"order-{self.order_id}"

    def event(self, log: Log, event_type: str, step: str | None, command: str, **data: Any) -> None:
        log.events.append(
            StoredEvent(
                position=self._tick(),
                version=len(log.events) + 1,
                type=event_type,
                data=data,
                key=self.key(step) if step else f"seed-{log.name}",
                command=command,
                saga_id=self._saga_of(step) if step else None,
                recorded_at=self._now(),
            )
        )

    def bar(self, log: Log, step: str, command: str, outcome: str = "done", phase: str = "undo") -> None:
        recorded_at = self._now(ticks=True)
        entry = BarrierEntry(
            key=self.key(step),
            command=command,
            phase=phase,
            outcome=outcome,
            recorded_at=recorded_at,
            position=self._clock if self.knows_positions else None,
        )
        log.barrier.append(entry)

    # What the services do

    def place(self) -> None:
        self.event(self.order, "OrderPlaced", "place_order", "PlaceOrder", currency="EUR", lines=LINES)

    def reject(self) -> None:
        self.event(self.order, "OrderRejected", "place_order", "RejectOrder", cause="refused")
        self.bar(self.order, "place_order", "RejectOrder")

    def authorize(self, amount_minor: int = TOTAL, currency: str = "EUR", step: str = "authorize_payment") -> None:
        key = self.key(step)
        money = {"authorization": key, "amount_minor": amount_minor, "currency": currency}
        self.event(self.payment, "PaymentAuthorized", step, "AuthorizePayment", **money)
        self.gateway_holds[key] = "held", amount_minor

    def void(self) -> None:
        key = self.key("authorize_payment")
        self.event(self.payment, "PaymentVoided", "authorize_payment", "ReleasePayment", authorization=key)
        self.bar(self.payment, "authorize_payment", "ReleasePayment")
        self.gateway_holds[key] = "voided", self.gateway_holds.get(key, ("", 0))[1]

    def expire(self) -> None:
        key = self.key("authorize_payment")
        self.event(self.payment, "PaymentExpired", "capture_payment", "CapturePayment", authorization=key)
        self.gateway_holds[key] = "expired", self.gateway_holds[key][1]

    def capture(self) -> None:
        key = self.key("authorize_payment")
        self.event(self.payment, "PaymentCaptured", "capture_payment", "CapturePayment", authorization=key)
        amount = self.gateway_holds.get(key, ("", 0))[1]
        self.gateway_holds[key] = "captured", amount
        self.gateway_captured += amount

    def book(self, lines: Iterable[dict[str, Any]] = LINES) -> None:
        units = [{"sku": line["sku"], "quantity": line["quantity"]} for line in lines]
        self.event(self.shipping, "ShipmentBooked", "book_shipment", "BookShipment", units=units)
        self.move("StockBooked", "book_shipment", "BookShipment", lines)

    def request(self, lines: Iterable[dict[str, Any]] = LINES) -> None:
        units = [{"sku": line["sku"], "quantity": line["quantity"]} for line in lines]
        self.event(self.shipping, "ShipmentRequested", "book_shipment", "BookShipment", units=units)
        self.move("StockBooked", "book_shipment", "BookShipment", lines)

    def book_requested(self, lines: Iterable[dict[str, Any]] = LINES) -> None:
        units = [{"sku": line["sku"], "quantity": line["quantity"]} for line in lines]
        self.event(self.shipping, "ShipmentBooked", "book_shipment", "BookShipment", units=units, awaited=True)

    def refuse_requested(self) -> None:
        code = "UNDELIVERABLE_ADDRESS"
        self.event(self.shipping, "ShipmentBookingRefused", "book_shipment", "BookShipment", code=code, message="")
        self.move("StockReturned", "book_shipment", "BookShipment", LINES)

    def withdraw(self) -> None:
        self.event(self.shipping, "ShipmentWithdrawn", "book_shipment", "CancelShipment")
        self.move("StockReturned", "book_shipment", "CancelShipment", LINES)
        self.bar(self.shipping, "book_shipment", "CancelShipment")

    def cancel_shipment(self) -> None:
        self.event(self.shipping, "ShipmentCancelled", "book_shipment", "CancelShipment")
        self.move("StockReturned", "book_shipment", "CancelShipment", LINES)
        self.bar(self.shipping, "book_shipment", "CancelShipment")

    def dispatch(self, lines: Iterable[dict[str, Any]] = LINES) -> None:
        self.event(self.shipping, "ShipmentDispatched", "dispatch_shipment", "DispatchShipment")
        self.move("StockDispatched", "dispatch_shipment", "DispatchShipment", lines)

    def confirm(self) -> None:
        self.event(self.order, "OrderConfirmed", "confirm_order", "ConfirmOrder")

    def move(self, event_type: str, step: str, command: str, lines: Iterable[dict[str, Any]]) -> None:
        for line in lines:
            log, quantity = self.stock[line["sku"]], line["quantity"]
            self.event(log, event_type, step, command, order_id=self.order_id, quantity=quantity)

    def open_return(self) -> None:
        self.event(self.order, "ReturnOpened", "open_return", "OpenReturn", saga_id=self.return_id)

    def withdraw_return(self) -> None:
        self.event(self.order, "ReturnWithdrawn", "open_return", "WithdrawReturn")
        self.bar(self.order, "open_return", "WithdrawReturn")

    def recall(self) -> None:
        self.event(self.shipping, "ShipmentRecalled", "recall_shipment", "RecallShipment", saga_id=self.return_id)

    def cancel_recall(self) -> None:
        self.event(self.shipping, "ShipmentRecallCancelled", "recall_shipment", "CancelRecall")
        self.bar(self.shipping, "recall_shipment", "CancelRecall")

    def refund(self, amount_minor: int = TOTAL) -> None:
        key, refund = self.key("authorize_payment"), self.key("refund_payment")
        money = {"authorization": key, "amount_minor": amount_minor}
        self.event(self.payment, "PaymentRefunded", "refund_payment", "RefundPayment", **money)
        self.gateway_refunds[refund] = self.gateway_refunds.get(refund, 0) + amount_minor

    def receive(self, lines: Iterable[dict[str, Any]] = LINES) -> None:
        self.event(self.shipping, "ShipmentReturned", "receive_shipment", "ReceiveShipment")
        self.move("StockTakenBack", "receive_shipment", "ReceiveShipment", lines)

    def close_return(self) -> None:
        self.event(self.order, "OrderReturned", "close_order", "CloseReturn")

    def take_back(self) -> "Forgery":
        """All that a healthy return does, of an order that was completed."""
        for act in (self.open_return, self.recall, self.refund, self.receive, self.close_return):
            act()
        return self

    def call_off(self) -> "Forgery":
        """All that a return does that is turned back at its pivot."""
        for act in (self.open_return, self.recall, self.cancel_recall, self.withdraw_return):
            act()
        return self

    def complete(self) -> "Forgery":
        """All that a healthy saga does."""
        for act in (self.place, self.authorize, self.book, self.capture, self.confirm, self.dispatch):
            act()
        return self

    def compensate(self) -> "Forgery":
        """All that a saga does that is turned back at its pivot."""
        for act in (self.place, self.authorize, self.book, self.cancel_shipment, self.void, self.reject):
            act()
        return self

    def return_evidence(self, status: SagaStatus, *residue: Residue) -> Evidence:
        """What an auditor of the return gets to see."""
        return replace(self.evidence(status, *residue), saga_id=self.return_id)

    def evidence(self, status: SagaStatus, *residue: Residue) -> Evidence:
        """What an auditor gets to see."""
        return Evidence(
            order_id=self.order_id,
            saga_id=f"order-{self.order_id}",
            status=status,
            residue=residue,
            order=_stream(self.order, {}),
            payment=_stream(self.payment, self.restated.get("payment", _payment_sums(self.payment))),
            shipping=_stream(self.shipping, {}),
            stock={sku: _stream(log, self.restated.get(sku, stock_sums(log))) for sku, log in self.stock.items()},
            gateway=Books(
                holds=tuple(
                    GatewayHold(key=key, state=state, amount_minor=amount)
                    for key, (state, amount) in self.gateway_holds.items()
                ),
                captures=(GatewayCapture(key=self.key("capture_payment"), amount_minor=self.gateway_captured),),
                refunds=tuple(GatewayRefund(key=key, amount_minor=n) for key, n in self.gateway_refunds.items()),
            ),
        )

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _now(self, *, ticks: bool = False) -> datetime:
        return _EPOCH + timedelta(seconds=self._tick() if ticks else self._clock)


def stock_sums(log: Log) -> dict[str, int]:
    """What the shipping service states about a SKU."""
    sums = dict.fromkeys(("StockReceived", "StockBooked", "StockReturned", "StockDispatched", "StockTakenBack"), 0)
    for event in log.events:
        sums[event.type] += event.data["quantity"]
    received, booked, returned, dispatched, taken_back = sums.values()
    return {
        "received": received,
        "on_hand": received - booked + returned + taken_back,
        "booked": booked - returned - dispatched,
        "dispatched": dispatched,
        "taken_back": taken_back,
    }


def _payment_sums(log: Log) -> dict[str, int]:
    amounts: dict[str, int] = {}
    sums = {"authorized_minor": 0, "held_minor": 0, "captured_minor": 0, "voided_minor": 0, "expired_minor": 0}
    sums["refunded_minor"] = 0
    for event in log.events:
        authorization = event.data.get("authorization", "")
        if event.type == "PaymentAuthorized":
            amounts[authorization] = event.data.get("amount_minor", 0)
            sums["authorized_minor"] += amounts[authorization]
            sums["held_minor"] += amounts[authorization]
        elif event.type == "PaymentRefunded":
            sums["refunded_minor"] += event.data["amount_minor"]
        else:
            sums[f"{event.type.removeprefix('Payment').lower()}_minor"] += amounts.get(authorization, 0)
            sums["held_minor"] -= amounts.get(authorization, 0)
    return sums


def _stream(log: Log, state: dict[str, int] | None) -> Stream:
    return Stream(
        stream=log.name, version=len(log.events), state=state, events=tuple(log.events), barrier=tuple(log.barrier)
    )
