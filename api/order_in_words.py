"""An order, or its return, in a few words, for people who look at the Temporal Web UI."""

import json

from contracts.faults import Fault
from contracts.orders import Order
from workflows.return_commands import ReturnSagaInput

_MAX_SUMMARY = 200
_MAX_SHOWN_LINES = 20
_MAX_ATTRIBUTE_BYTES = 2048
_NO_MINOR_UNITS = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE_DIGITS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def amount(minor: int, currency: str) -> str:
    """An amount as people write it: `25.00 EUR`, `300 JPY`."""
    digits = 0 if currency in _NO_MINOR_UNITS else 3 if currency in _THREE_DIGITS else 2
    major, rest = divmod(minor, 10**digits)
    return f"{major}.{rest:0{digits}d} {currency}" if digits else f"{major} {currency}"


def summary_of(order: Order) -> str:
    """One line. Temporal keeps at most 400 bytes of it."""
    first = order.lines[0]
    more = f" and {len(order.lines) - 1} more" if len(order.lines) > 1 else ""
    goods = f"{first.quantity} × {_short(first.sku)}{more}"  # noqa: RUF001 - the sign for times
    return f"Order of {_short(order.customer_id)}: {goods}, {amount(order.total_minor, order.currency)}"


def summary_of_return(saga: ReturnSagaInput) -> str:
    """One line."""
    return (
        f"Return of an order of {_short(saga.order.customer_id)}: {amount(saga.order.total_minor, saga.order.currency)}"
    )


def customer_attribute_of(customer_id: str) -> str:
    """The customer's id as a search attribute: cut, and ending in `…`, where Temporal would refuse the whole.

    Temporal keeps at most 2048 bytes of its JSON, in which the SDK writes most characters as 6 or 12. The whole id is
    in the workflow's input.
    """
    kept = shown = customer_id
    while len(json.dumps(shown)) > _MAX_ATTRIBUTE_BYTES:
        kept = kept[:-1]
        shown = kept + "…"
    return shown


def details_of(order: Order) -> str:
    """A table of the lines, as Markdown. Temporal keeps at most 20 000 bytes of it."""
    rows = [
        f"| {line.sku} | \u2003{line.quantity} | \u2003{amount(line.unit_price_minor, order.currency)} |"
        for line in order.lines[:_MAX_SHOWN_LINES]
    ]
    if len(order.lines) > _MAX_SHOWN_LINES:
        rows.append(f"| and {len(order.lines) - _MAX_SHOWN_LINES} more | | |")
    total = f"Total **{amount(order.total_minor, order.currency)}**"
    return "\n".join(["| SKU | quantity | unit price |", "|---|---|---|", *rows, "", total, *_injected(order.faults)])


def details_of_return(saga: ReturnSagaInput) -> str:
    """The order that comes back, as Markdown."""
    total = f"To be paid back **{amount(saga.order.total_minor, saga.order.currency)}**"
    return "\n".join([f"Order {saga.order_id}", "", total, *_injected(saga.request.faults)])


def _injected(faults: tuple[Fault, ...]) -> list[str]:
    """The lines about them."""
    shown = [
        f"- {fault.step}, {fault.phase}: {fault.kind} {f'× {fault.times}' if fault.times != 'always' else 'always'}"  # noqa: RUF001
        for fault in faults[:_MAX_SHOWN_LINES]
    ]
    return ["", "Injected faults:", "", *shown] if shown else []


def _short(text: str) -> str:
    # Characters may take four bytes each, and two such texts share the summary's 400.
    limit = _MAX_SUMMARY // 5
    return text if len(text) <= limit else text[: limit - 1] + "…"
