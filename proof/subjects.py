"""The sagas that are proved: where the API tells of each, and how one is started.

A saga of one's own becomes a subject by a line here. All else is read from its definition; that nothing is left behind
is told by its audit.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.sagas import SagaView
from proof.doors import Doors

SKU = "PROOF-1"
"""What all its orders order, so that a proof takes nobody's stock."""
CUSTOMER = "the-proof"

Options = Mapping[str, Any]
Start = Callable[[Doors, Options, str, int], Awaitable[SagaView]]
"""Starts a saga with options, under a key, and waits for its end at most so many seconds."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A saga that can be proved."""

    name: str
    definition: str
    """Where the API shows its definition."""
    start: Start


def an_order(sku: str = SKU) -> dict[str, Any]:
    """An order that everything is fine with."""
    return {
        "customer_id": CUSTOMER,
        "currency": "EUR",
        "payment_token": "tok_visa",
        "lines": [{"sku": sku, "quantity": 2, "unit_price_minor": 1250}],
        "shipping_address": {
            "name": "Ada L.",
            "line1": "1 Main St",
            "city": "Berlin",
            "postal_code": "10115",
            "country": "DE",
        },
    }


async def _order(doors: Doors, options: Options, key: str, wait_s: int) -> SagaView:
    return await doors.start("/orders", {**an_order(), **options}, key=key, wait_s=wait_s)


SUBJECTS = {subject.name: subject for subject in (Subject("order", "/sagas/order", _order),)}
