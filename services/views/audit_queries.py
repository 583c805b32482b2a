"""Reads what an audit of everything looks at, within a reading transaction of whoever calls.

Settled orders are counted, open ones listed, findings looked up: nothing is read order by order or event by event.
Everything is of the generation that serves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import String, Subquery, cast, func, literal, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from contracts.audits import (
    EXAMPLES,
    Amiss,
    BookEntry,
    BookTotal,
    Finding,
    Findings,
    Invariant,
    LedgerAudit,
    LogSeen,
    OpenOrders,
    OrderAtRest,
)
from messaging.port import Cursor
from services.kernel.book_totals import entries, totals
from services.kernel.consumer.cursors import cursor_at
from services.kernel.consumer.generations import active_generation
from services.kernel.consumer.set_aside import parked_streams
from services.kernel.consumer.tables import (
    CursorRow,
    DroppedEventRow,
    GenerationRow,
    GenerationState,
    ParkedStreamRow,
)
from services.kernel.errors import NotFound
from services.views.breaches import id_of
from services.views.errors import UnbookableEvent
from services.views.order_view import HoldStatus
from services.views.paging import Place, place_of, token_of
from services.views.rows import MONEY, ledger_in
from services.views.standing import Broken, Standing, amiss
from services.views.tables import OPEN, FindingRow, HoldRow, StandingRow, StockRow, ViewedEventRow

MAX_OVERDUE = 200
REBUILD = "the ledgers were begun by an earlier version; ./amends rebuild fills them"


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a service's log ended when it was asked, or why it could not be told."""

    position: int | None
    why: str = ""


def audit_ledgers(session: Session, ends: Mapping[str, LogEnd]) -> LedgerAudit:
    """What the ledgers say, at one moment; `ends` are of a moment before that."""
    generation = active_generation(session)
    cursors = {service: cursor_at(session, generation, service) for service in ends}
    parked = parked_streams(session, generation)
    standings = _standings(session, generation)
    stock, skus = _stock(session, generation)
    return LedgerAudit(
        logs=tuple(
            LogSeen(service=service, position=cursors[service].position, head=end.position)
            for service, end in ends.items()
        ),
        waits_for=tuple(_waits_for(session, cursors, ends, parked)),
        completed=standings.get(Standing.COMPLETED, 0),
        compensated=standings.get(Standing.COMPENSATED, 0),
        open=standings.get(Standing.OPEN, 0),
        stock=stock,
        skus=skus,
        money=tuple(_money(session, generation)),
        findings=tuple(_findings(session, generation, parked)),
    )


def is_complete(session: Session) -> bool:
    """Whether the generation that serves was built by a version that kept all that an audit needs."""
    uncaused = select(ViewedEventRow.position).where(
        col(ViewedEventRow.generation) == active_generation(session), col(ViewedEventRow.causationid).is_(None)
    )
    return session.exec(uncaused.limit(1)).first() is None


def list_open(session: Session, after: str | None, limit: int) -> OpenOrders:
    """Open orders, those first to which nothing has happened for longest.

    Raises:
        MalformedRequest: `after` is no `next` of a page.
    """
    generation = active_generation(session)
    since, order_id = col(StandingRow.since), col(StandingRow.order_id)
    listed = select(StandingRow).where(col(StandingRow.generation) == generation, OPEN)
    if after is not None:
        place = place_of(after)
        listed = listed.where(tuple_(since, order_id) > tuple_(place.placed_at, place.order_id))
    # One more than is shown tells whether there is a next page.
    rows = session.exec(listed.order_by(since, order_id).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return OpenOrders(
        orders=tuple(map(_at_rest, rows[:limit])),
        next=token_of(Place(last.since, last.order_id)) if last else None,
    )


def order_at_rest(session: Session, order_id: UUID) -> OrderAtRest:
    """What would be amiss with an order if nothing more came, and the events that show it.

    Raises:
        NotFound: nothing was heard of it.
    """
    generation = active_generation(session)
    row = session.get(StandingRow, (generation, str(order_id)))
    if row is None:
        raise NotFound("ORDER_NOT_FOUND", f"nothing was heard of an order {order_id}")
    told = tuple(
        Amiss(invariant=one.invariant, what=one.what, events=_events(session, row, one.shown_by)) for one in _amiss(row)
    )
    return _at_rest(row).model_copy(update={"amiss": told})


def overdue(session: Session, before: datetime) -> list[OrderAtRest]:
    """Open orders to which nothing has happened since before that moment, the oldest first, up to a number."""
    rows = session.exec(
        select(StandingRow)
        .where(col(StandingRow.generation) == active_generation(session), OPEN, col(StandingRow.since) < before)
        .order_by(col(StandingRow.since), col(StandingRow.order_id))
        .limit(MAX_OVERDUE)
    )
    return [_at_rest(row) for row in rows]


def count_open(session: Session) -> int:
    ours = col(StandingRow.generation) == active_generation(session)
    count = select_columns(func.count()).select_from(StandingRow).where(ours, OPEN)
    return int(session.execute(count).scalar_one())


def findings_now(session: Session) -> list[Findings]:
    """What is wrong whatever comes, by invariant."""
    generation = active_generation(session)
    return list(_findings(session, generation, parked_streams(session, generation)))


def our_totals(session: Session, prefix: str) -> list[BookTotal]:
    return totals(session, _our_books(session), prefix)


def our_entries(session: Session, prefix: str, limit: int) -> list[BookEntry]:
    return entries(session, _our_books(session), prefix, limit)


def _waits_for(
    session: Session,
    cursors: Mapping[str, Cursor],
    ends: Mapping[str, LogEnd],
    parked: Sequence[ParkedStreamRow],
) -> Iterator[str]:
    for service, end in ends.items():
        if end.position is None:
            yield f"the {service} service's log: {end.why}"
        elif cursors[service].position < end.position:
            yield f"the {service} service's log is taken up to {cursors[service].position} of {end.position}"
    for row in parked[:EXAMPLES]:
        name = id_of(row.service, row.stream, row.next_version)
        yield f"{name} could not be taken, and its stream waits: {row.reason}"
    if len(parked) > EXAMPLES:
        yield f"{len(parked) - EXAMPLES} more streams wait"
    building = select(GenerationRow).where(col(GenerationRow.state) == GenerationState.BUILDING)
    if session.exec(building).first() is not None:
        yield "a new generation of the ledgers is being built"
    if not is_complete(session):
        yield REBUILD


def _findings(session: Session, generation: int, parked: Sequence[ParkedStreamRow]) -> Iterator[Findings]:
    counted = dict(
        session.execute(
            select_columns(col(FindingRow.invariant), func.count())
            .where(col(FindingRow.generation) == generation)
            .group_by(col(FindingRow.invariant))
        ).all()
    )
    # They could not be taken because of what they say of money; so they are in no ledger, and found here.
    unbookable = [row for row in parked if row.reason.startswith(UnbookableEvent.__name__)]
    dropped = _dropped(session, generation)
    for invariant in Invariant:
        match invariant:
            case Invariant.COMPLETE:
                found = [
                    Finding(what="an operator gave up on it", events=(id_of(row.service, row.stream, row.version),))
                    for row in dropped
                ]
            case Invariant.MONEY:
                found = [
                    Finding(what=row.reason, events=(id_of(row.service, row.stream, row.next_version),))
                    for row in unbookable
                ]
            case _:
                found = []
        count = counted.get(invariant.name, 0) + len(found)
        if count:
            kept = _kept(session, generation, invariant) if invariant.name in counted else []
            yield Findings(invariant=invariant, count=count, examples=tuple([*kept, *found][:EXAMPLES]))


def _kept(session: Session, generation: int, invariant: Invariant) -> list[Finding]:
    rows = session.exec(
        select(FindingRow)
        .where(col(FindingRow.generation) == generation, col(FindingRow.invariant) == invariant.name)
        .order_by(col(FindingRow.service), col(FindingRow.position))
        .limit(EXAMPLES)
    )
    return [
        Finding(what=row.what, events=tuple(row.events), order_id=UUID(row.order_id) if row.order_id else None)
        for row in rows
    ]


def _dropped(session: Session, generation: int) -> Sequence[DroppedEventRow]:
    """Of the logs that are followed now. Operators drop few."""
    followed = select(CursorRow.log_id).where(col(CursorRow.generation) == generation)
    return session.exec(
        select(DroppedEventRow)
        .where(col(DroppedEventRow.log_id).in_(followed))
        .order_by(col(DroppedEventRow.service), col(DroppedEventRow.stream), col(DroppedEventRow.version))
    ).all()


def _standings(session: Session, generation: int) -> dict[Standing, int]:
    rows = session.execute(
        select_columns(col(StandingRow.standing), func.count())
        .where(col(StandingRow.generation) == generation)
        .group_by(col(StandingRow.standing))
    )
    return {row[0]: row[1] for row in rows}


def _stock(session: Session, generation: int) -> tuple[tuple[str, ...], int]:
    ours = col(StockRow.generation) == generation
    skus = session.execute(select_columns(func.count()).select_from(StockRow).where(ours)).scalar_one()
    rows = session.exec(select(StockRow).where(ours).order_by(col(StockRow.sku)).limit(EXAMPLES))
    return tuple(map(_sums_of, rows)), skus


def _sums_of(row: StockRow) -> str:
    parts = f"on hand {row.on_hand} + booked {row.booked} + dispatched {row.dispatched}"
    parts += f" - taken back {row.taken_back}" if row.taken_back else ""
    return f"{row.sku}: received {row.received} = {parts}"


def _money(session: Session, generation: int) -> Iterator[str]:
    for row in MONEY.read_all(session, generation):
        yield (
            f"{row['currency']}: authorized {row['authorized_minor']} = captured {row['captured_minor']}"
            f" + voided {row['voided_minor']} + expired {row['expired_minor']} + held {row['held_minor']}"
            f", and refunded {row['refunded_minor']}"
        )


def _at_rest(row: StandingRow) -> OrderAtRest:
    """Without the events that show what is amiss; each order's are a question of their own."""
    return OrderAtRest(
        order_id=UUID(row.order_id),
        saga_id=row.saga_id,
        since=row.since,
        amiss=tuple(Amiss(invariant=one.invariant, what=one.what) for one in _amiss(row)),
    )


def _amiss(row: StandingRow) -> Iterator[Broken]:
    return amiss(ledger_in(row.ledger))


def _events(session: Session, row: StandingRow, types: Sequence[str]) -> tuple[str, ...]:
    rows = session.exec(
        select(ViewedEventRow.service, ViewedEventRow.stream, ViewedEventRow.streamversion)
        .where(
            col(ViewedEventRow.generation) == row.generation,
            col(ViewedEventRow.subject) == row.order_id,
            col(ViewedEventRow.type).in_(types),
        )
        .order_by(col(ViewedEventRow.time), col(ViewedEventRow.service), col(ViewedEventRow.position))
        .limit(EXAMPLES)
    )
    return tuple(id_of(*found) for found in rows)


def _our_books(session: Session) -> Subquery:
    """Holds, and captures and refunds beside them, in the words that the gateway's books are told in."""
    ours = col(HoldRow.generation) == active_generation(session)
    order_id, amount = col(HoldRow.order_id), col(HoldRow.amount_minor)
    holds = select_columns(
        order_id.label("order_id"),
        col(HoldRow.authorization).label("key"),
        func.lower(cast(col(HoldRow.status), String)).label("state"),
        col(HoldRow.currency).label("currency"),
        amount.label("amount_minor"),
    ).where(ours)
    captures = select_columns(order_id, col(HoldRow.authorization), literal("taken"), literal(""), amount)
    refunds = select_columns(
        order_id, col(HoldRow.authorization), literal("refunded"), literal(""), col(HoldRow.refunded_minor)
    )
    return holds.union_all(
        captures.where(ours, col(HoldRow.status) == HoldStatus.CAPTURED),
        refunds.where(ours, col(HoldRow.refunded_minor) > 0),
    ).subquery()
