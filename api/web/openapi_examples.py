"""One example of each model in the OpenAPI document, taken from one order that was out of stock."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from api.audit.verdicts import Audit, Verdict
from api.endpoints.faults import PlannedFault
from api.endpoints.health import Health
from api.endpoints.order_list import ListedOrder, OrderList
from contracts.audits import (
    Finding,
    Invariant,
    InvariantAudit,
    Judgement,
    LogSeen,
    OrderCounts,
    SystemAudit,
)
from contracts.events import OrderRejected, PublicEvent
from contracts.faults import Fault, FaultKind, Phase
from contracts.orders import Address, Line
from contracts.policy import Policy
from contracts.sagas import (
    Cause,
    HistoryEntry,
    HistoryPage,
    Links,
    Residue,
    SagaStatus,
    SagaView,
    StepFailure,
    StepKind,
    StepState,
    StepView,
)
from contracts.views import (
    MoneyView,
    OrderEvents,
    OrderStatus,
    OrderView,
    ShipmentStatus,
    StockView,
    Transition,
)
from workflows.order_saga import ORDER_SAGA_DEFINITION

_ORDER_ID = UUID("0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52")
_SAGA_ID = f"order-{_ORDER_ID}"
_PATH = f"/orders/{_ORDER_ID}"
_BEGAN = datetime(2026, 10, 1, 9, 30, 0, tzinfo=UTC)
_ENDED = datetime(2026, 10, 1, 9, 30, 0, 52_000, tzinfo=UTC)

_LINKS = Links(
    self=_PATH,
    history=f"{_PATH}/history",
    events=f"{_PATH}/events",
    temporal_ui=f"http://localhost:8233/namespaces/amends/workflows/{_SAGA_ID}",
)
_FAILURE = StepFailure(step="book_shipment", code="OUT_OF_STOCK", message="not enough on hand of BOOK-1 (2 of 1)")
_STATES = {
    "place_order": StepState.COMPENSATED,
    "authorize_payment": StepState.COMPENSATED,
    "book_shipment": StepState.REFUSED,
}
_VIEW = SagaView(
    order_id=_ORDER_ID,
    saga_id=_SAGA_ID,
    status=SagaStatus.COMPENSATED,
    cause=Cause.REFUSED,
    total_minor=2500,
    currency="EUR",
    failure=_FAILURE,
    steps=tuple(
        StepView(
            name=step.name,
            kind=step.kind,
            state=_STATES.get(step.name, StepState.PENDING),
            attempts=int(step.name in _STATES),
            path="fast" if step.name in _STATES else None,
            compensation_attempts=int(step.name in _STATES and step.kind is StepKind.COMPENSATABLE),
        )
        for step in ORDER_SAGA_DEFINITION.steps
    ),
    started_at=_BEGAN,
    ended_at=_ENDED,
    links=_LINKS,
)
_ENTRY = HistoryEntry(
    event_id=7,
    at=_BEGAN,
    what="book_shipment was refused: OUT_OF_STOCK.",
    step="book_shipment",
    phase=Phase.ACTION,
    path="fast",
    attempt=1,
    outcome="refused",
    detail=_FAILURE.message,
)
_EVENT = PublicEvent.of(
    "order",
    OrderRejected(cause=Cause.REFUSED),
    subject=str(_ORDER_ID),
    time=_ENDED,
    causationid=f"{_SAGA_ID}:place_order/RejectOrder",
    sagaid=_SAGA_ID,
    stream=str(_ORDER_ID),
    streamversion=2,
    position=17,
    logid="6f1c0b5e-0d0a-4c1e-9a55-7a1f0f6c2b11",
)
_ORDER = OrderView(
    order_id=_ORDER_ID,
    saga_id=_SAGA_ID,
    customer_id="cust-1",
    status=OrderStatus.REJECTED,
    cause=Cause.REFUSED,
    currency="EUR",
    total_minor=2500,
    authorized_minor=2500,
    voided_minor=2500,
    shipment=ShipmentStatus.NONE,
    placed_at=_BEGAN,
    transitions=(
        Transition(event="OrderPlaced", at=_BEGAN),
        Transition(event="PaymentAuthorized", at=_BEGAN),
        Transition(event="PaymentVoided", at=_ENDED),
        Transition(event="OrderRejected", at=_ENDED),
    ),
)
_LISTED = ListedOrder(**dict(_ORDER), links=_LINKS)
_VERDICT = Verdict(invariant="the stock is as before", holds=True, evidence=("BOOK-1: 2 taken, 2 returned",))
_FINDING = Finding(
    what=f"OrderConfirmed for {_SAGA_ID}:confirm_order is there already",
    events=(f"order {_ORDER_ID}:2", f"order {_ORDER_ID}:3"),
    order_id=_ORDER_ID,
)
_INVARIANT = InvariantAudit(
    invariant=Invariant.ONCE,
    verdict=Judgement.BROKEN,
    evidence=("order: all looked at up to position 3",),
    count=1,
    findings=(_FINDING,),
)
_LOG = LogSeen(service="order", position=3, head=3)
_COUNTS = OrderCounts(completed=1, compensated=0, forced=0, in_flight=0, amiss=0, not_judged=0)
_DEFINITION = ORDER_SAGA_DEFINITION.view()

EXAMPLES: tuple[BaseModel, ...] = (
    _VIEW,
    _VIEW.steps[0],
    _FAILURE,
    _LINKS,
    Residue(step="authorize_payment", phase=Phase.COMPENSATION),
    HistoryPage(order_id=_ORDER_ID, saga_id=_SAGA_ID, entries=(_ENTRY,), next=f"{_PATH}/history?after=7&limit=1"),
    _ENTRY,
    OrderEvents(order_id=_ORDER_ID, events=(_EVENT,)),
    _EVENT,
    _ORDER,
    _ORDER.transitions[0],
    _LISTED,
    OrderList(orders=(_LISTED,), next="/orders?status=rejected&limit=1&after=MjAyNi0xMC0wMVQwOTozMDowMFo"),
    StockView(sku="BOOK-1", received=10, on_hand=7, booked=1, dispatched=2, returned=2),
    MoneyView(currency="EUR", authorized_minor=7500, captured_minor=2500, voided_minor=2500, held_minor=2500),
    Audit(order_id=_ORDER_ID, status=SagaStatus.COMPENSATED, clean=True, verdicts=(_VERDICT,)),
    _VERDICT,
    SystemAudit(verdict=Judgement.BROKEN, at=_ENDED, orders=_COUNTS, logs=(_LOG,), invariants=(_INVARIANT,)),
    _INVARIANT,
    _FINDING,
    _LOG,
    _COUNTS,
    _DEFINITION,
    _DEFINITION.places[0][0],
    Health(status="live"),
    Line(sku="BOOK-1", quantity=2, unit_price_minor=1250),
    Address(name="Ada L.", line1="1 Main St", city="Berlin", postal_code="10115", country="DE"),
    Fault(step="book_shipment", kind=FaultKind.LOST_REPLY, times=2),
    PlannedFault(step="book_shipment", kind=FaultKind.LOST_REPLY, times=2, enacted=2),
    Policy(attempt_timeout_s=2, retry_initial_s=0.1, retry_max_s=1, fast_path=False),
)


def add_examples(schemas: dict[str, Any], examples: Iterable[BaseModel] = EXAMPLES) -> None:
    """Gives each of the schemas that has none its example."""
    for example in examples:
        schema = schemas.get(type(example).__name__)
        if schema is not None and "examples" not in schema:
            schema["examples"] = [example.model_dump(mode="json")]
