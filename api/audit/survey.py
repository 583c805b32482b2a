"""Gathers what an audit of everything looks at: the ledgers, the barriers, the books; and of open orders, their sagas.

Settled orders cost nothing here, the query side has counted them. Only of an order that is open, or that the gateway
tells differently, is Temporal asked: is its saga on its way? If so, nobody can say yet what is wrong. If it has ended,
the ledgers are waited for once more, and what they say then is so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from api.audit.books import DEEPEST, Asked, Comparison, Difference, compare, differences
from api.audit.gather import gather
from api.audit.invariants_at_the_end import ORDER_PROMISE
from api.audit.invariants_of_a_return import RETURN_PROMISE
from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.order_sagas import OrderSagas
from api.query_side import Views
from api.reading import ServiceUnreachable
from api.return_sagas import ReturnSagas
from api.services import ORDER, PAYMENT, SHIPPING
from api.temporal import TemporalUnavailable
from contracts.audits import BarrierAudit, LedgerAudit, OrderAtRest
from contracts.sagas import SagaStatus
from workflows.names import RETURN_PREFIX, saga_id_of

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 8
"""How many orders are looked at side by side."""


@dataclass(frozen=True, slots=True)
class Forced:
    """A forced saga that has left more than it lists: which invariants of its order's audit do not hold."""

    order_id: UUID
    broken: tuple[str, ...]


@dataclass
class Survey:
    """All that an audit of everything judges by."""

    ledgers: LedgerAudit
    barriers: dict[str, BarrierAudit] = field(default_factory=dict)
    barriers_missing: list[str] = field(default_factory=list)
    """Why a service did not tell of its barrier."""
    books: Comparison | None = None
    books_missing: str | None = None
    """Why the books could not be compared."""
    amiss: list[tuple[OrderAtRest, SagaStatus | None]] = field(default_factory=list)
    """Open orders whose sagas have ended, and as what, where that is known."""
    forced: int = 0
    """Forced sagas that have left no more than they list."""
    forced_amiss: list[Forced] = field(default_factory=list)
    differing: list[Difference] = field(default_factory=list)
    """What the gateway tells differently of orders whose sagas have ended."""
    in_flight: int = 0
    not_judged: int = 0
    """Orders of which could not be told whether their sagas have ended, or what they have left."""
    orders_missing: list[str] = field(default_factory=list)
    """Why some could not be judged."""
    books_unsure: bool = False
    """Whether the gateway tells an order differently that could not be judged."""


async def survey(sagas: OrderSagas, returns: ReturnSagas, views: Views) -> Survey:
    """Looks at everything.

    Raises:
        ServiceUnreachable: the query side gave no readable answer in time. Without it there is nothing to judge.
    """
    seen = Survey(await views.audit())
    await asyncio.gather(_look_at_barriers(seen, sagas), _look_at_books(seen, sagas, views))
    candidates, more = await _open_orders(views, sagas.settings.audit_max_orders)
    suspects = {order.order_id: order.saga_id for order in candidates}
    told_differently = {one.order_id: one for one in seen.books.differences} if seen.books else {}
    for order_id in told_differently:
        if (known := _uuid(order_id)) is not None:
            suspects.setdefault(known, None)
    ended, unsure = await _ended(seen, sagas, suspects)
    seen.in_flight = sum(order.order_id not in ended and order.order_id not in unsure for order in candidates)
    if ended or told_differently:
        # Whatever these sagas did was in the logs when they ended. Now it must be in the ledgers.
        seen.ledgers = await views.audit()
    await _look_at_ended(
        seen, sagas, returns, views, [order.order_id for order in candidates if order.order_id in ended]
    )
    await _look_at_differing(seen, sagas, views, told_differently, ended, unsure)
    seen.not_judged += sum(order.order_id in unsure for order in candidates)
    if more:
        seen.not_judged += max(0, seen.ledgers.open - len(candidates))
        limit = sagas.settings.audit_max_orders
        seen.orders_missing.append(f"more than {limit} orders are open, and only the oldest {limit} were looked at")
    return seen


async def _look_at_barriers(seen: Survey, sagas: OrderSagas) -> None:
    for service in (ORDER, PAYMENT, SHIPPING):
        try:
            seen.barriers[service] = await sagas.services.barrier(service)
        except ServiceUnreachable as error:
            seen.barriers_missing.append(str(error))


async def _look_at_books(seen: Survey, sagas: OrderSagas, views: Views) -> None:
    try:
        seen.books = await compare(_ours(views), _theirs(sagas), questions=sagas.settings.audit_max_book_questions)
    except ServiceUnreachable as error:
        seen.books_missing = str(error)


async def _open_orders(views: Views, limit: int) -> tuple[list[OrderAtRest], bool]:
    """The open orders, those first that were left alone for longest; and whether there are more."""
    found: list[OrderAtRest] = []
    after: str | None = None
    while len(found) < limit:
        page = await views.open_orders(after, min(limit - len(found), 200))
        found += page.orders
        after = page.next
        if after is None:
            break
    return found, after is not None


async def _ended(seen: Survey, sagas: OrderSagas, suspects: dict[UUID, str | None]) -> tuple[set[UUID], set[UUID]]:
    """Of the orders, those whose sagas have ended, and those of which nobody can tell."""
    ended, unsure = set[UUID](), set[UUID]()

    async def ask(order_id: UUID) -> None:
        # The order's own saga, and the one that was at work on it last, where that is another one.
        asked = {saga_id_of(order_id), suspects[order_id] or saga_id_of(order_id)}
        try:
            running = [await sagas.temporal.is_running(saga_id) for saga_id in sorted(asked)]
        except TemporalUnavailable as error:
            unsure.add(order_id)
            _add(seen.orders_missing, str(error))
            return
        if not any(running):
            ended.add(order_id)

    await _each(suspects, ask)
    return ended, unsure


async def _look_at_ended(
    seen: Survey, sagas: OrderSagas, returns: ReturnSagas, views: Views, order_ids: Sequence[UUID]
) -> None:
    """Open orders whose sagas have ended: has something come of them meanwhile, or is something wrong?"""

    async def look(order_id: UUID) -> None:
        order = await views.order_at_rest(order_id)
        if order is None or not order.amiss:
            return
        if seen.ledgers.waits_for:
            seen.not_judged += 1
            return
        try:
            await _judge_ended(seen, sagas, returns, order)
        except (ServiceUnreachable, TemporalUnavailable) as error:
            seen.not_judged += 1
            _add(seen.orders_missing, str(error))

    await _each(order_ids, look)


async def _judge_ended(seen: Survey, sagas: OrderSagas, returns: ReturnSagas, order: OrderAtRest) -> None:
    saga_id = order.saga_id or saga_id_of(order.order_id)
    if saga_id.startswith(RETURN_PREFIX):
        view, promise = await returns.view_if_known(saga_id), RETURN_PROMISE
    elif saga_id == saga_id_of(order.order_id):
        view, promise = await sagas.view_if_known(order.order_id), ORDER_PROMISE
    else:
        seen.amiss.append((order, None))
        return
    if view is None or view.status is not SagaStatus.FORCED:
        seen.amiss.append((order, view.status if view else None))
        return
    # What it may have left stands in its residue, and that the order's own audit knows how to judge.
    try:
        judged = audit(await gather(sagas.services, view, returns.status_of), promise)
    except UnreadableEvent as error:
        raise ServiceUnreachable("audited", f"has an unreadable event: {error}") from error
    if judged.clean:
        seen.forced += 1
    else:
        broken = tuple(f"{one.invariant}: {'; '.join(one.evidence)}" for one in judged.verdicts if not one.holds)
        seen.forced_amiss.append(Forced(order.order_id, broken))


async def _look_at_differing(
    seen: Survey,
    sagas: OrderSagas,
    views: Views,
    told_differently: dict[str, Difference],
    ended: set[UUID],
    unsure: set[UUID],
) -> None:
    """Orders that the gateway told differently: does it still, now that their sagas have ended?"""

    async def look(order_id: str) -> None:
        known = _uuid(order_id)
        if known is not None and known not in ended:
            seen.books_unsure |= known in unsure
            return
        try:
            found = await differences(_ours(views), _theirs(sagas), order_id[:DEEPEST])
        except ServiceUnreachable as error:
            seen.books_missing = str(error)
            return
        still = [one for one in found if one.order_id == order_id]
        if still and seen.ledgers.waits_for:
            seen.books_unsure = True
        else:
            seen.differing += still

    await _each(told_differently, look)


def _ours(views: Views) -> Asked:
    return Asked(views.book_totals, views.book_entries)


def _theirs(sagas: OrderSagas) -> Asked:
    return Asked(sagas.services.gateway_totals, sagas.services.gateway_entries)


async def _each(ones: Iterable[T], look: Callable[[T], Awaitable[R]]) -> None:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(one: T) -> None:
        async with turn:
            await look(one)

    await asyncio.gather(*map(in_turn, ones))


def _add(reasons: list[str], reason: str) -> None:
    if reason not in reasons:
        reasons.append(reason)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
