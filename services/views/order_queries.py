"""Reads the orders, within a reading transaction of whoever calls. Everything is of the generation that serves."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, select

from contracts.events import PublicEvent
from contracts.views import OrderEvents, OrderPage, OrderQuery, OrderStatus, OrderView, Transition
from services.kernel.consumer.generations import active_generation
from services.kernel.errors import NotFound
from services.views.causality import Logged, causal_order
from services.views.order_view import fold, transition_of, view_of
from services.views.paging import Place, place_of, token_of, utc
from services.views.rows import ORDERS, Columns, order_in
from services.views.tables import OrderRow, ViewedEventRow


def list_orders(session: Session, query: OrderQuery) -> OrderPage:
    """A page of the orders, newest first.

    Raises:
        MalformedRequest: a moment without time zone, or an `after` that is no `next` of a page.
    """
    generation = active_generation(session)
    # One more than is shown tells whether there is a next page.
    found = session.connection().execute(_select_orders(generation, query, query.limit + 1)).mappings().all()
    rows = cast(Sequence[Columns], found)
    page = rows[: query.limit]
    transitions = _transitions(session, generation, [row["order_id"] for row in page])
    views = (view_of(row["order_id"], order_in(row), transitions[row["order_id"]]) for row in page)
    last = page[-1] if len(rows) > query.limit else None
    return OrderPage(
        orders=tuple(view for view in views if view),
        next=token_of(Place(last["placed_at"], last["order_id"])) if last else None,
    )


def read_order(session: Session, order_id: UUID, at: datetime | None) -> OrderView:
    """An order now; or as of a moment, replayed from the events up to it.

    Raises:
        NotFound: it was not placed, or not yet.
    """
    view = _order_now(session, order_id) if at is None else _order_at(session, order_id, at)
    if view is None:
        raise NotFound("ORDER_NOT_FOUND", f"there is no order {order_id}" + (f" at {at.isoformat()}" if at else ""))
    return view


def read_events(session: Session, order_id: UUID) -> OrderEvents:
    """All services' events about an order, in causal order."""
    return OrderEvents(order_id=order_id, events=tuple(causal_order(_events_about(session, order_id))))


class _Told(Logged, Protocol):
    @property
    def type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Happened:
    """As much of an event as a transition needs: a page of orders has many, and their bodies take long to read."""

    service: str
    position: int
    time: datetime
    type: str


def _select_orders(generation: int, query: OrderQuery, limit: int) -> Select[*tuple[Any, ...]]:
    placed_at, order_id = col(OrderRow.placed_at), col(OrderRow.order_id)
    return (
        select_columns(SQLModel.metadata.tables["view_orders"])
        .where(col(OrderRow.generation) == generation, placed_at.is_not(None), *_filters(query))
        .order_by(placed_at.desc(), order_id.desc())
        .limit(limit)
    )


def _filters(query: OrderQuery) -> Iterator[ColumnElement[bool]]:
    placed_at = col(OrderRow.placed_at)
    if query.customer is not None:
        yield col(OrderRow.customer_id) == query.customer
    if query.cause is not None:
        yield col(OrderRow.cause) == query.cause
    if query.status is not None and query.cause is None:
        yield col(OrderRow.status) == query.status
    if query.cause is not None and query.status not in (None, OrderStatus.REJECTED):
        # Only rejected orders have a cause. That leaves no order, and one index fewer to keep.
        yield literal(1) == literal(0)
    if query.placed_from is not None:
        yield placed_at >= utc(query.placed_from, "from")
    if query.placed_to is not None:
        yield placed_at < utc(query.placed_to, "to")
    if query.after is not None:
        place = place_of(query.after)
        yield tuple_(placed_at, col(OrderRow.order_id)) < tuple_(place.placed_at, place.order_id)


def _order_now(session: Session, order_id: UUID) -> OrderView | None:
    generation, key = active_generation(session), str(order_id)
    row = ORDERS.read(session, generation, key)
    return view_of(key, order_in(row), _transitions(session, generation, [key])[key]) if row else None


def _order_at(session: Session, order_id: UUID, at: datetime) -> OrderView | None:
    events = causal_order(_events_about(session, order_id), at=at)
    return view_of(str(order_id), fold(events), _as_transitions(events))


def _events_about(session: Session, order_id: UUID) -> Iterator[PublicEvent]:
    bodies = session.exec(
        select(ViewedEventRow.body).where(
            col(ViewedEventRow.generation) == active_generation(session), col(ViewedEventRow.subject) == str(order_id)
        )
    )
    return (PublicEvent.model_validate_json(body) for body in bodies)


def _transitions(session: Session, generation: int, order_ids: Sequence[str]) -> dict[str, list[Transition]]:
    """Of all orders of a page at once."""
    rows = session.connection().execute(
        select_columns(
            col(ViewedEventRow.subject),
            col(ViewedEventRow.service),
            col(ViewedEventRow.position),
            col(ViewedEventRow.time),
            col(ViewedEventRow.type),
        ).where(col(ViewedEventRow.generation) == generation, col(ViewedEventRow.subject).in_(order_ids))
    )
    about: dict[str, list[_Happened]] = defaultdict(list)
    for order_id, service, position, time, event_type in rows:
        about[order_id].append(_Happened(service, position, time, event_type))
    return {order_id: _as_transitions(causal_order(about[order_id])) for order_id in order_ids}


def _as_transitions(events: Sequence[_Told]) -> list[Transition]:
    transitions = (transition_of(event.service, event.type, event.time) for event in events)
    return [transition for transition in transitions if transition]
