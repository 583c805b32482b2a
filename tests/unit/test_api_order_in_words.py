"""Orders in a few words, within what Temporal keeps of them."""

import json
from uuid import UUID, uuid4

import pytest

from api.order_in_words import (
    amount,
    customer_attribute_of,
    details_of,
    details_of_return,
    summary_of,
    summary_of_return,
)
from contracts.currencies import CODES
from contracts.returns import Return
from tests.support.orders import parsed_order
from workflows.return_commands import ReturnedOrder, ReturnSagaInput

LINE = {"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250}


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(2500, "EUR", "25.00 EUR"), (5, "USD", "0.05 USD"), (300, "JPY", "300 JPY"), (1234, "KWD", "1.234 KWD")],
)
def test_amount_when_written_then_with_the_currencys_digits(minor: int, currency: str, text: str) -> None:
    assert currency in CODES
    assert amount(minor, currency) == text


def test_summary_when_one_line_then_who_what_and_how_much() -> None:
    assert summary_of(parsed_order()) == "Order of cust-1: 2 × BOOK-1, 25.00 EUR"  # noqa: RUF001


def test_summary_when_the_largest_order_then_within_400_bytes() -> None:
    lines = [
        {"sku": f"S{number:03}" + "x" * 196, "quantity": 10**6, "unit_price_minor": 10**9} for number in range(100)
    ]

    assert len(summary_of(parsed_order(customer_id="\U0001f600" * 200, lines=lines)).encode()) <= 400


def test_details_when_the_largest_order_then_within_20_000_bytes() -> None:
    lines = [
        {"sku": f"S{number:03}" + "x" * 196, "quantity": 10**6, "unit_price_minor": 10**9} for number in range(100)
    ]
    faults = [{"step": "x" * 100, "kind": "lost_reply", "times": 1000}] * 100

    details = details_of(parsed_order(lines=lines, faults=faults))

    assert len(details.encode()) <= 20_000
    assert "and 80 more" in details


def test_details_when_faults_are_injected_then_told() -> None:
    faults = [{"step": "book_shipment", "kind": "error", "times": "always"}]

    assert "- book_shipment, action: error always" in details_of(parsed_order(faults=faults))


@pytest.mark.parametrize("customer", ["cust-1", "\U0001f600" * 170, "\u4e2d" * 200, '"' * 200])
def test_customer_attribute_when_it_fits_then_whole(customer: str) -> None:
    assert customer_attribute_of(customer) == customer


@pytest.mark.parametrize("length", [171, 175, 200])
def test_customer_attribute_when_too_long_for_temporal_then_cut(length: int) -> None:
    shown = customer_attribute_of("\U0001f600" * length)

    assert shown == "\U0001f600" * 170 + "…"
    assert len(json.dumps(shown)) <= 2048


def a_return(customer: str = "cust-1", *faults: dict[str, object]) -> ReturnSagaInput:
    return ReturnSagaInput(
        order_id=UUID(int=7),
        return_id=uuid4(),
        order=ReturnedOrder(customer_id=customer, total_minor=2500, currency="EUR"),
        asked=Return.model_validate({"faults": faults}),
    )


def test_return_when_summarised_then_whose_and_how_much() -> None:
    assert summary_of_return(a_return()) == "Return of an order of cust-1: 25.00 EUR"
    assert len(summary_of_return(a_return("\U0001f600" * 200)).encode()) <= 400


def test_return_when_detailed_then_its_order_and_the_injected_faults() -> None:
    details = details_of_return(a_return("cust-1", {"step": "refund_payment", "kind": "error", "times": "always"}))

    assert "Order 00000000-0000-0000-0000-000000000007" in details
    assert "- refund_payment, action: error always" in details
