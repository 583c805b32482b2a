"""Brings stock to a shipping service and reads it, for tests."""

from typing import Any

from contracts.commands import ReceiveStock
from tests.support.builders import random_sku
from tests.support.service_client import Service


async def receive(shipping: Service, quantity: int, *, sku: str | None = None) -> str:
    """The SKU, a new one unless given, with that much more stock."""
    sku = sku or random_sku()
    response = await shipping.send(ReceiveStock(sku=sku, quantity=quantity), key=f"receive-{sku}")
    assert response.json()["outcome"] == "done"
    return sku


async def stock_of(shipping: Service, sku: str, version: int | None = None) -> dict[str, int]:
    """Received, on hand, booked and dispatched; and taken back, where anything was."""
    response = await shipping.http.get(f"/stock/{sku}", params={"version": version} if version else {})
    assert response.is_success, response.text
    return shelf(response.json())


def shelf(stock: dict[str, Any]) -> dict[str, int]:
    """The numbers of a stock."""
    numbers = {key: value for key, value in stock.items() if key not in {"sku", "version"}}
    return numbers if numbers["taken_back"] else {key: numbers[key] for key in numbers if key != "taken_back"}
