"""The verbs that talk to a running system, over HTTP, as any other client does."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import typer
from typer.core import TyperGroup

from contracts.audits import Judgement, SystemAudit
from contracts.commands import ReceiveStock, command_path
from contracts.sagas import Cause, DecisionKind
from contracts.views import OrderStatus
from contracts.wire import IDEMPOTENCY_KEY_HEADER
from run import pretty
from run.caller import Caller
from run.errors import CannotRun
from run.settings import Settings, load_settings
from run.state import running_state

_MAX_PAGES = 1000
_RETURN = "return-"
_BROKEN, _UNKNOWN = 1, 2
"""Exit codes of an audit."""
_AUDIT_S = 50.0
"""How much longer than other answers an audit of everything may take."""
_MOMENT = "a moment such as 2026-10-01T09:30:00Z"

OrderId = Annotated[str, typer.Argument(help="The order's id, as `order` prints it.")]
SagaId = Annotated[str, typer.Argument(help="The order's id, or a return's as `return` prints it: return-….")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as it came.")]


class _PlacingByDefault(TyperGroup):
    """`order FILE` is `order place FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["place", *args]
        return super().parse_args(ctx, args)


order_verbs = typer.Typer(
    cls=_PlacingByDefault, no_args_is_help=True, help="Place an order: order FILE. Or one that there was, again."
)
stock_verbs = typer.Typer(invoke_without_command=True, no_args_is_help=False)


def add_to(app: typer.Typer) -> None:
    app.add_typer(order_verbs, name="order")
    for verb in (orders, show, history, events, cancel, decide, audit):
        app.command()(verb)
    app.command("return")(give_back)
    app.add_typer(stock_verbs, name="stock")


Key = Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same order.")]
Wait = Annotated[int, typer.Option(min=0, help="How many seconds to wait for its end.")]


@order_verbs.command()
def place(
    file: Annotated[str, typer.Argument(help="A JSON file such as examples/order.json; - for standard input.")],
    key: Key = None,
    wait: Wait = 0,
    as_json: AsJson = False,
) -> None:
    """Place an order."""
    _start("/orders", _read(file), key, wait, as_json=as_json)


@order_verbs.command()
def again(order_id: OrderId, key: Key = None, wait: Wait = 0, as_json: AsJson = False) -> None:
    """Place the same order again, with the same faults: a new order, and a saga that meets what the first one met."""
    with _api() as api:
        same = api.get(f"/orders/{order_id}/request").content
    _start("/orders", same, key, wait, as_json=as_json)


def _start(path: str, body: bytes | None, key: str | None, wait: int, *, as_json: bool) -> None:
    key = key or str(uuid4())
    headers = {IDEMPOTENCY_KEY_HEADER: key, "Content-Type": "application/json"}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    with _api() as api:
        hint = f"whether it was taken is unknown; ask again with --key {key}"
        answer = api.post(path, content=body, headers=headers, wait_s=wait, hint=hint)
    pretty.saga(answer, as_json=as_json)


def orders(
    status: Annotated[OrderStatus | None, typer.Option(help="Only orders with this status.")] = None,
    cause: Annotated[Cause | None, typer.Option(help="Only orders that were rejected for this.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's orders.")] = None,
    placed_from: Annotated[str | None, typer.Option("--from", help=f"Placed at {_MOMENT} or later.")] = None,
    placed_to: Annotated[str | None, typer.Option("--to", help=f"Placed before {_MOMENT}.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many orders, at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """List orders, newest first. The list is a moment behind."""
    given = {
        "status": status,
        "cause": cause,
        "customer": customer,
        "from": placed_from,
        "to": placed_to,
        "limit": limit,
    }
    filters = urlencode({name: value for name, value in given.items() if value is not None})
    with _api() as api:
        pretty.orders(api.get(f"/orders?{filters}"), as_json=as_json)


def give_back(order_id: OrderId, key: Key = None, wait: Wait = 0, as_json: AsJson = False) -> None:
    """Return an order, as a whole."""
    _start(f"/orders/{order_id}/return", None, key, wait, as_json=as_json)


def show(saga_id: SagaId, as_json: AsJson = False) -> None:
    """Show the saga of an order or a return: its status and its steps."""
    with _api() as api:
        pretty.saga(api.get(_path_of(saga_id)), as_json=as_json)


def history(saga_id: SagaId, as_json: AsJson = False) -> None:
    """Tell what happened in the saga of an order or a return."""
    with _api() as api:
        page = f"{_path_of(saga_id)}/history"
        for _ in range(_MAX_PAGES):
            answer = api.get(page)
            pretty.history(answer, as_json=as_json)
            following = answer.json()["next"]
            if following is None:
                return
            page = following


def events(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show what the services have announced about an order, in causal order. It is a moment behind."""
    with _api() as api:
        pretty.events(api.get(f"/orders/{order_id}/events"), as_json=as_json)


def cancel(saga_id: SagaId) -> None:
    """Ask for a saga's cancellation."""
    with _api() as api:
        api.post(f"{_path_of(saga_id)}/cancel")
    pretty.line(f"Asked to cancel {saga_id}; ./amends show {saga_id} tells what became of it.")


def decide(
    saga_id: SagaId,
    step: Annotated[str, typer.Argument(help="The step that is stuck.")],
    decision: DecisionKind,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the saga.")],
    without_faults: Annotated[bool, typer.Option(help="Send no injected faults from now on.")] = False,
) -> None:
    """Answer for a step that is stuck."""
    body = {"step": step, "decision": decision, "reason": reason, "without_faults": without_faults}
    with _api() as api:
        api.post(f"{_path_of(saga_id)}/decisions", json=body)
    pretty.line(f"Decided: {decision} {step} of {saga_id}.")


def audit(
    saga_id: Annotated[
        str | None, typer.Argument(help="The order's id, or return-…; everything is checked without one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an order or a return, or everything, against the invariants.

    Exit code 1 if one does not hold, and 2 if that cannot be judged yet.
    """
    if saga_id is None:
        _audit_everything(as_json=as_json)
        return
    with _api() as api:
        answer = api.get(f"{_path_of(saga_id)}/audit")
    pretty.audit(answer, as_json=as_json)
    if not answer.json()["clean"]:
        raise typer.Exit(_BROKEN)


def _audit_everything(*, as_json: bool) -> None:
    with _api() as api:
        answer = api.get("/audit", wait_s=_AUDIT_S)
    pretty.audit_of_everything(answer, as_json=as_json)
    match SystemAudit.model_validate_json(answer.content).verdict:
        case Judgement.BROKEN:
            raise typer.Exit(_BROKEN)
        case Judgement.UNKNOWN:
            raise typer.Exit(_UNKNOWN)


@stock_verbs.callback()
def stock(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the stock."""
    if context.invoked_subcommand is None:
        with _shipping() as shipping:
            pretty.stock(shipping.get("/stock"), as_json=as_json)


@stock_verbs.command()
def receive(
    sku: str,
    quantity: int,
    key: Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same delivery.")] = None,
) -> None:
    """Bring new stock of one SKU."""
    receive_stock(load_settings(), sku, quantity, key)
    pretty.line(f"Received {quantity} of {sku}.")


def receive_stock(settings: Settings, sku: str, quantity: int, key: str | None = None) -> None:
    """Brings new stock; the same key is the same delivery.

    Raises:
        CannotRun: the shipping service did not take it, or nobody knows whether it did.
    """
    key = key or str(uuid4())
    with Caller(shipping_url(settings), setting="shipping_url") as shipping:
        shipping.post(
            command_path(ReceiveStock),
            json={"sku": sku, "quantity": quantity},
            headers={IDEMPOTENCY_KEY_HEADER: key},
            hint=f"whether it was taken is unknown; ask again with --key {key}",
        )


def _path_of(saga_id: str) -> str:
    return f"/returns/{saga_id.removeprefix(_RETURN)}" if saga_id.startswith(_RETURN) else f"/orders/{saga_id}"


def api_url(settings: Settings) -> str:
    """Of the system that runs, or that settings name."""
    state = None if settings.api_url else running_state(settings)
    return settings.api_url or (state.urls.api if state else settings.url_of(settings.api_port))


def with_running_engine(settings: Settings) -> Settings:
    """The settings with the address of the Temporal that runs, or that they name."""
    state = None if settings.temporal_address else running_state(settings)
    return settings.model_copy(update={"temporal_address": state.urls.temporal}) if state else settings


def shipping_url(settings: Settings) -> str:
    state = None if settings.shipping_url else running_state(settings)
    return state.urls.shipping if state else settings.service_url("shipping")


def _api() -> Caller:
    return Caller(api_url(load_settings()), setting="api_url")


def _shipping() -> Caller:
    return Caller(shipping_url(load_settings()), setting="shipping_url")


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CannotRun(f"cannot read {file}: {error.strerror}") from None
