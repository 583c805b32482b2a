"""An order as a customer gives it: the body of `POST /orders` and the input of the order saga."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from contracts.base import MAX_AMOUNT_MINOR, AmountMinor, Contract, Quantity, Sku, Text
from contracts.currencies import Currency
from contracts.faults import Faults
from contracts.policy import Deadline, Policy


class Line(Contract):
    sku: Sku
    quantity: Quantity
    unit_price_minor: AmountMinor


class Address(Contract):
    name: Text
    line1: Text
    city: Text
    postal_code: Text
    country: Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{2}$")]
    """ISO 3166-1 alpha-2."""


Lines = Annotated[tuple[Line, ...], Field(min_length=1, max_length=100)]


def total_minor(lines: tuple[Line, ...]) -> int:
    """The price of all lines, in minor units."""
    return sum(line.quantity * line.unit_price_minor for line in lines)


class Carrier(StrEnum):
    """How the carrier of a shipment answers."""

    AT_ONCE = "at_once"
    BY_EVENT = "by_event"
    """The shipping service accepts the booking; an event brings the carrier's answer later."""


class Order(Contract):
    """What to buy, how to pay, where to send it, and (for testing) which failures to inject."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer_id": "cust-1",
                    "currency": "EUR",
                    "payment_token": "tok_visa",
                    "lines": [{"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250}],
                    "shipping_address": {
                        "name": "Ada L.",
                        "line1": "1 Main St",
                        "city": "Berlin",
                        "postal_code": "10115",
                        "country": "DE",
                    },
                }
            ]
        }
    )

    customer_id: Text
    currency: Currency
    payment_token: Text
    lines: Lines
    shipping_address: Address
    carrier: Carrier = Carrier.AT_ONCE
    """Whether the carrier says at once whether it delivers there, or later, by an event for which the saga waits."""
    faults: Faults = ()
    deadline_s: Deadline | None = None
    """How long the saga may take until its pivot, in seconds; the API's default where it is absent."""
    policy: Policy | None = None
    """For testing, as faults are: the saga's timeouts and retries, instead of those that the API is set to."""

    @property
    def total_minor(self) -> int:
        return total_minor(self.lines)

    @model_validator(mode="after")
    def _check_lines(self) -> Self:
        skus = [line.sku for line in self.lines]
        if len(set(skus)) != len(skus):
            raise ValueError("lines: every SKU may stand in one line only; add up its quantities")
        if self.total_minor > MAX_AMOUNT_MINOR:
            raise ValueError("lines: the total exceeds 64 bits")
        return self
