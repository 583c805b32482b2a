"""Answers of the system, for people to read."""

import json
import sys
from datetime import datetime
from functools import cache
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.order_in_words import amount
from contracts.audits import Judgement, SystemAudit
from contracts.sagas import HistoryPage, SagaStatus, SagaView
from contracts.views import OrderEvents

_VERDICTS = {
    Judgement.HOLDS: "[green]holds[/]",
    Judgement.BROKEN: "[bold red]BROKEN[/]",
    Judgement.UNKNOWN: "[yellow]unknown[/]",
}
_COLOUR = {
    "succeeded": "green", "completed": "green", "compensated": "yellow", "nothing_to_undo": "yellow", "refused": "red",
    "failed": "red", "stuck": "bold red", "forced": "magenta", "terminated": "magenta", "compensating": "yellow",
    "unwinding": "yellow", "pending": "dim", "confirmed": "green", "rejected": "red", "returned": "yellow",
}  # fmt: skip


@cache
def console() -> Console:
    # Where nobody looks at a window's edges, lines are not to be broken at 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=240)


def line(text: str) -> None:
    console().print(text, markup=False, highlight=False)


def table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="dim")


def show(what: Table) -> None:
    console().print(what)


def saga(answer: httpx.Response, *, as_json: bool) -> None:
    """A saga's status in a line, its steps in a table, and what to look at next."""
    if as_json:
        console().print_json(answer.text)
        return
    view = SagaView.model_validate_json(answer.content)
    cause = f", because {view.cause}" if view.cause else ""
    cancel = f" (cancel: {view.cancel})" if view.cancel else ""
    what, id_ = ("return", view.saga_id) if view.saga_id.startswith("return-") else ("order", view.order_id)
    console().print(f"{what} {id_} {_coloured(view.status)}{cause}{cancel}", highlight=False)
    if view.failure:
        line(f"{view.failure.step}: {view.failure.code}: {view.failure.message}")
    if view.suspended:
        line(f"suspended: {view.suspended}")
    for left in view.residue:
        line(f"left as it is: the {left.phase} of {left.step}")
    steps = table("step", "state", "attempts", "undo attempts", "path", "last failure")
    for step in view.steps:
        attempts, undo_attempts = str(step.attempts or ""), str(step.compensation_attempts or "")
        failure = escape(step.last_failure or "")
        steps.add_row(step.name, _coloured(step.state), attempts, undo_attempts, step.path or "", failure)
    show(steps)
    line(view.links.temporal_ui)
    if view.status is SagaStatus.STUCK:
        line(f"./amends decide {id_} STEP retry|skip|give_up --reason WHY goes on with it")


def orders(answer: httpx.Response, *, as_json: bool) -> None:
    """A line for each order, and whether there are more."""
    if as_json:
        console().print_json(answer.text)
        return
    page = answer.json()
    rows = table("placed at", "order", "status", "cause", "customer", "total", "shipment")
    for order in page["orders"]:
        total = amount(order["total_minor"], order["currency"])
        told = (order["cause"] or "", order["customer_id"], total, order["shipment"])
        placed_at = f"{datetime.fromisoformat(order['placed_at']):%Y-%m-%d %H:%M:%S}"
        rows.add_row(placed_at, order["order_id"], _coloured(order["status"]), *map(escape, told))
    show(rows)
    if page["next"]:
        line("there are more; --limit shows more at once, --to shows older ones")


def events(answer: httpx.Response, *, as_json: bool) -> None:
    if as_json:
        console().print_json(answer.text)
        return
    rows = table("at", "service", "event", "what it says")
    for event in OrderEvents.model_validate_json(answer.content).events:
        says = ", ".join(f"{name} {_plainly(value)}" for name, value in event.data.items())
        rows.add_row(f"{event.time:%H:%M:%S.%f}"[:-3], escape(event.service), escape(event.type), escape(says))
    show(rows)


def history(answer: httpx.Response, *, as_json: bool) -> None:
    if as_json:
        console().print_json(answer.text)
        return
    entries = table("at", "what", "detail")
    for entry in HistoryPage.model_validate_json(answer.content).entries:
        entries.add_row(f"{entry.at:%H:%M:%S.%f}"[:-3], escape(entry.what), escape(entry.detail or ""))
    show(entries)


def audit(answer: httpx.Response, *, as_json: bool) -> None:
    if as_json:
        console().print_json(answer.text)
        return
    found = answer.json()
    verdicts = table("", "invariant", "evidence")
    for verdict in found["verdicts"]:
        holds = "[green]holds[/]" if verdict["holds"] else "[bold red]BROKEN[/]"
        verdicts.add_row(holds, escape(verdict["invariant"]), escape("; ".join(verdict["evidence"])))
    show(verdicts)
    line(f"{found['status']}, and {'clean' if found['clean'] else 'not clean'}")


def audit_of_everything(answer: httpx.Response, *, as_json: bool) -> None:
    """A line for each invariant, those for what is wrong below it, and the whole in one."""
    if as_json:
        console().print_json(answer.text)
        return
    found = SystemAudit.model_validate_json(answer.content)
    verdicts = table("", "invariant", "evidence")
    for one in found.invariants:
        count = f"{one.count} found" if one.count else ""
        shown = [count, *one.evidence] if count else one.evidence
        verdicts.add_row(_VERDICTS[one.verdict], escape(one.invariant), escape("; ".join(shown)))
        for finding in one.findings:
            verdicts.add_row("", f"  {escape(finding.what)}", escape(", ".join(finding.events)))
    show(verdicts)
    for reason in found.waits_for:
        line(f"not judged yet: {reason}")
    orders = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.orders.model_dump().items())
    line(f"{found.verdict}; orders: {orders}")


def stock(answer: httpx.Response, *, as_json: bool) -> None:
    if as_json:
        console().print_json(answer.text)
        return
    columns = ("sku", "received", "on_hand", "booked", "dispatched", "taken_back")
    rows = table(*columns)
    for sku in answer.json():
        rows.add_row(*(escape(str(sku[column])) for column in columns))
    show(rows)


def _plainly(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _coloured(state: str) -> str:
    colour = _COLOUR.get(state)
    return f"[{colour}]{state}[/]" if colour else state
