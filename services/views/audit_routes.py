"""The ledgers' part of an audit of everything, over HTTP."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from contracts.audits import BookEntry, BookTotal, LedgerAudit, OpenOrders, OrderAtRest
from messaging.feed import Feeds
from services.kernel.book_totals import MAX_ENTRIES, Prefix
from services.kernel.database import Database
from services.views import audit_queries
from services.views.log_ends import log_ends

MAX_OPEN = 200

After = Annotated[str | None, Query(max_length=200, description="The `next` of the page before.")]
OpenLimit = Annotated[int, Query(ge=1, le=MAX_OPEN)]
EntryLimit = Annotated[int, Query(ge=1, le=MAX_ENTRIES)]


def audit_routes(database: Database, feeds: Feeds, services: Sequence[str]) -> APIRouter:
    router = APIRouter(prefix="/views/audit", tags=["audit"])

    @router.get("")
    async def audit() -> LedgerAudit:
        """What the ledgers say of everything, and whether they hold all that is in the logs."""
        ends = await log_ends(database, feeds, services)
        return await database.read(lambda session: audit_queries.audit_ledgers(session, ends))

    @router.get("/open")
    async def list_open(after: After = None, limit: OpenLimit = 50) -> OpenOrders:
        """Orders that are on their way, or that have something amiss; those first that were left alone for longest."""
        return await database.read(lambda session: audit_queries.list_open(session, after, limit))

    @router.get("/orders/{order_id}")
    async def order_at_rest(order_id: UUID) -> OrderAtRest:
        """What would be amiss with an order if nothing more came, and the events that show it."""
        return await database.read(lambda session: audit_queries.order_at_rest(session, order_id))

    @router.get("/totals")
    async def totals(prefix: Prefix = "") -> list[BookTotal]:
        """The sums of our books over orders whose ids begin alike, by the ids' next characters."""
        return await database.read(lambda session: audit_queries.our_totals(session, prefix))

    @router.get("/entries")
    async def entries(prefix: Prefix = "", limit: EntryLimit = MAX_ENTRIES) -> list[BookEntry]:
        """The money of the orders whose ids begin so, as our books have it."""
        return await database.read(lambda session: audit_queries.our_entries(session, prefix, limit))

    return router
