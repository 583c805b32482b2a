"""The commands of the three services. `POST /commands/<name in kebab case>`, body as below, key in the header."""

import re
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.base import AmountMinor, Contract, Quantity, Sku, Text
from contracts.currencies import Currency
from contracts.orders import Address, Carrier, Lines
from contracts.sagas import Cause


class Command(Contract):
    """Something asked of an order's aggregate on behalf of one saga."""

    order_id: UUID
    saga_id: Text


class PlaceOrder(Command):
    customer_id: Text
    currency: Currency
    lines: Lines


class RejectOrder(Command):
    cause: Cause


class ConfirmOrder(Command):
    pass


class OpenReturn(Command):
    pass


class WithdrawReturn(Command):
    pass


class CloseReturn(Command):
    pass


class AuthorizePayment(Command):
    customer_id: Text
    amount_minor: AmountMinor
    currency: Currency
    payment_token: Text


class ReleasePayment(Command):
    pass


class CapturePayment(Command):
    pass


class AbandonCapture(Command):
    pass


class RefundPayment(Command):
    pass


class AbandonRefund(Command):
    pass


class Units(Contract):
    sku: Sku
    quantity: Quantity


class BookShipment(Command):
    lines: Annotated[tuple[Units, ...], Field(min_length=1, max_length=100)]
    shipping_address: Address
    carrier: Carrier = Carrier.AT_ONCE


class CancelShipment(Command):
    pass


class DispatchShipment(Command):
    pass


class RecallShipment(Command):
    pass


class CancelRecall(Command):
    pass


class ReceiveShipment(Command):
    pass


class ReceiveStock(Contract):
    """New stock of one SKU. It belongs to no order and no saga."""

    sku: Sku
    quantity: Quantity


def command_path(command: type[Contract]) -> str:
    """Where a service takes the command: `AuthorizePayment` at `/commands/authorize-payment`."""
    return "/commands/" + re.sub(r"(?<!^)(?=[A-Z])", "-", command.__name__).lower()
