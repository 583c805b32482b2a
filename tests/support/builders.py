"""Builds commands and orders for tests: random ids, sensible defaults, only the interesting part spelled out."""

from uuid import UUID, uuid4

from contracts import commands
from contracts.base import Contract
from contracts.orders import Address, Carrier, Line
from contracts.sagas import Cause

STEP_OF: dict[type[Contract], str] = {
    commands.PlaceOrder: "place_order",
    commands.RejectOrder: "place_order",
    commands.ConfirmOrder: "confirm_order",
    commands.AuthorizePayment: "authorize_payment",
    commands.ReleasePayment: "authorize_payment",
    commands.CapturePayment: "capture_payment",
    commands.AbandonCapture: "capture_payment",
    commands.BookShipment: "book_shipment",
    commands.CancelShipment: "book_shipment",
    commands.DispatchShipment: "dispatch_shipment",
    commands.OpenReturn: "open_return",
    commands.WithdrawReturn: "open_return",
    commands.RecallShipment: "recall_shipment",
    commands.CancelRecall: "recall_shipment",
    commands.RefundPayment: "refund_payment",
    commands.AbandonRefund: "refund_payment",
    commands.ReceiveShipment: "receive_shipment",
    commands.CloseReturn: "close_order",
}


def random_sku() -> str:
    return f"SKU-{uuid4().hex[:12]}"


def address(country: str = "DE") -> Address:
    return Address(name="Ada L.", line1="1 Main St", city="Berlin", postal_code="10115", country=country)


class SagaCommands:
    """The commands that one saga sends about one order."""

    def __init__(self, order_id: UUID | None = None, saga_id: str | None = None) -> None:
        self.order_id = order_id or uuid4()
        self.saga_id = saga_id or f"order-{self.order_id}"

    def key_of(self, command: Contract) -> str:
        return f"{self.saga_id}:{STEP_OF[type(command)]}"

    def place_order(self, *, unit_price_minor: int = 1250, quantity: int = 2) -> commands.PlaceOrder:
        line = Line(sku="BOOK-1", quantity=quantity, unit_price_minor=unit_price_minor)
        return commands.PlaceOrder(
            order_id=self.order_id, saga_id=self.saga_id, customer_id="cust-1", currency="EUR", lines=(line,)
        )

    def reject_order(self, cause: Cause = Cause.FAILED) -> commands.RejectOrder:
        return commands.RejectOrder(order_id=self.order_id, saga_id=self.saga_id, cause=cause)

    def confirm_order(self) -> commands.ConfirmOrder:
        return commands.ConfirmOrder(order_id=self.order_id, saga_id=self.saga_id)

    def authorize_payment(self, *, token: str = "tok_visa", amount_minor: int = 2500) -> commands.AuthorizePayment:
        return commands.AuthorizePayment(
            order_id=self.order_id,
            saga_id=self.saga_id,
            customer_id="cust-1",
            amount_minor=amount_minor,
            currency="EUR",
            payment_token=token,
        )

    def release_payment(self) -> commands.ReleasePayment:
        return commands.ReleasePayment(order_id=self.order_id, saga_id=self.saga_id)

    def capture_payment(self) -> commands.CapturePayment:
        return commands.CapturePayment(order_id=self.order_id, saga_id=self.saga_id)

    def abandon_capture(self) -> commands.AbandonCapture:
        return commands.AbandonCapture(order_id=self.order_id, saga_id=self.saga_id)

    def book_shipment(
        self, *units: tuple[str, int], country: str = "DE", carrier: Carrier = Carrier.AT_ONCE
    ) -> commands.BookShipment:
        return commands.BookShipment(
            order_id=self.order_id,
            saga_id=self.saga_id,
            lines=tuple(commands.Units(sku=sku, quantity=quantity) for sku, quantity in units),
            shipping_address=address(country),
            carrier=carrier,
        )

    def cancel_shipment(self) -> commands.CancelShipment:
        return commands.CancelShipment(order_id=self.order_id, saga_id=self.saga_id)

    def dispatch_shipment(self) -> commands.DispatchShipment:
        return commands.DispatchShipment(order_id=self.order_id, saga_id=self.saga_id)


class ReturnCommands(SagaCommands):
    """The commands that a return saga of its own sends about an order."""

    def __init__(self, order_id: UUID) -> None:
        super().__init__(order_id, saga_id=f"return-{uuid4()}")

    def open_return(self) -> commands.OpenReturn:
        return commands.OpenReturn(order_id=self.order_id, saga_id=self.saga_id)

    def withdraw_return(self) -> commands.WithdrawReturn:
        return commands.WithdrawReturn(order_id=self.order_id, saga_id=self.saga_id)

    def close_return(self) -> commands.CloseReturn:
        return commands.CloseReturn(order_id=self.order_id, saga_id=self.saga_id)

    def recall_shipment(self) -> commands.RecallShipment:
        return commands.RecallShipment(order_id=self.order_id, saga_id=self.saga_id)

    def cancel_recall(self) -> commands.CancelRecall:
        return commands.CancelRecall(order_id=self.order_id, saga_id=self.saga_id)

    def receive_shipment(self) -> commands.ReceiveShipment:
        return commands.ReceiveShipment(order_id=self.order_id, saga_id=self.saga_id)

    def refund_payment(self) -> commands.RefundPayment:
        return commands.RefundPayment(order_id=self.order_id, saga_id=self.saga_id)

    def abandon_refund(self) -> commands.AbandonRefund:
        return commands.AbandonRefund(order_id=self.order_id, saga_id=self.saga_id)
