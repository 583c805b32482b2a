"""Watches for drift while events come in: metrics, and a log line when an invariant breaks and when it is mended.

What an event breaks for ever is written down as it is taken, so it shows within a second. What is wrong only once an
order's saga has ended, nobody here can tell, since the query side knows of no sagas. An order that is open and has been
left alone for longer than a saga should need is `overdue`: stuck, forced, or wrong. The API's `GET /audit` tells which.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge
from sqlmodel import Session

from contracts.audits import AT_THE_END, Finding, Invariant
from services.kernel.database import Database
from services.kernel.errors import TryLater
from services.views import audit_queries

LOOK_S = 1.0
GRACE_S = 300.0
"""How long a saga may leave its order alone before the order counts as overdue."""

BY_EVENTS = (
    Invariant.COMPLETE,
    Invariant.ONCE,
    Invariant.NAMED,
    Invariant.TOMBSTONE,
    Invariant.MONEY,
    Invariant.STOCK,
    Invariant.DECIDED,
)
"""Those that an event can break for ever."""
BY_TIME = tuple(invariant for invariant in AT_THE_END if invariant is not Invariant.RESIDUE)
"""Those that an order breaks by being left alone."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What does not hold of one invariant."""

    count: int
    what: str
    """The first of it."""
    events: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drifts:
    """What does not hold, by invariant."""

    found: Mapping[Invariant, Drift]
    overdue: Mapping[Invariant, Drift]
    open_orders: int


class DriftWatch:
    """One for each process. The one that is at work logs; all expose the metrics, out of the shared database."""

    def __init__(
        self, database: Database, *, rebuild: Callable[[], object], grace: timedelta = timedelta(seconds=GRACE_S)
    ) -> None:
        """
        Args:
            rebuild: begins to build the ledgers anew.
        """
        self._database = database
        self._rebuild = rebuild
        self._grace = grace
        self._known: dict[tuple[str, Invariant], Drift] = {}
        self._log = structlog.get_logger().bind(consumer="views")

    async def run(self) -> None:
        """Until it is cancelled."""
        if not await self._is_complete():
            self._log.warning("ledgers incomplete, rebuilding", why=audit_queries.REBUILD)
            self._rebuild()
        while True:
            # Where the database is away, whoever follows the feeds says so.
            with suppress(TryLater):
                self._tell(await self._look())
            await asyncio.sleep(LOOK_S)

    async def expose(self, registry: CollectorRegistry) -> None:
        """Adds the metrics of this moment."""
        drifts = await self._look()
        findings = Gauge("amends_audit_findings", "What is wrong for ever", ["invariant"], registry=registry)
        overdue = Gauge(
            "amends_audit_overdue_orders",
            "Orders that were left alone for too long, by what is amiss",
            ["invariant"],
            registry=registry,
        )
        Gauge(
            "amends_audit_open_orders", "Orders that are on their way, or have something amiss", registry=registry
        ).set(drifts.open_orders)
        _set(findings, BY_EVENTS, drifts.found)
        _set(overdue, BY_TIME, drifts.overdue)

    async def _is_complete(self) -> bool:
        while True:
            try:
                return await self._database.read(audit_queries.is_complete)
            except TryLater:
                await asyncio.sleep(LOOK_S)

    async def _look(self) -> Drifts:
        before = datetime.now(UTC) - self._grace
        return await self._database.read(lambda session: _drifts(session, before))

    def _tell(self, drifts: Drifts) -> None:
        """Of each invariant once when it breaks, or is broken once more, and once when it holds again."""
        now = {("found", invariant): drift for invariant, drift in drifts.found.items()}
        now |= {("overdue", invariant): drift for invariant, drift in drifts.overdue.items()}
        for (kind, invariant), drift in now.items():
            known = self._known.get((kind, invariant))
            if known and drift.count <= known.count:
                continue
            self._log.error(
                "audit drift",
                kind=kind,
                invariant=invariant,
                count=drift.count,
                what=drift.what,
                events=drift.events,
                order_ids=drift.order_ids,
            )
        for kind, invariant in self._known.keys() - now.keys():
            self._log.warning("audit drift gone", kind=kind, invariant=invariant)
        self._known = now


def _drifts(session: Session, before: datetime) -> Drifts:
    return Drifts(
        found={one.invariant: _drift(one.count, one.examples) for one in audit_queries.findings_now(session)},
        overdue=_overdue(session, before),
        open_orders=audit_queries.count_open(session),
    )


def _drift(count: int, examples: tuple[Finding, ...]) -> Drift:
    first = examples[0]
    orders = dict.fromkeys(str(one.order_id) for one in examples if one.order_id)
    return Drift(count, first.what, first.events, tuple(orders))


def _overdue(session: Session, before: datetime) -> dict[Invariant, Drift]:
    orders = audit_queries.overdue(session, before)
    counts = Counter(one.invariant for order in orders for one in order.amiss)
    drifts = {}
    for invariant, count in counts.items():
        broken = [(order, one) for order in orders for one in order.amiss if one.invariant is invariant]
        first, amiss = broken[0]
        ids = tuple(str(order.order_id) for order, _ in broken)
        drifts[invariant] = Drift(count, f"order {first.order_id}: {amiss.what}", amiss.events, ids[:20])
    return drifts


def _set(gauge: Gauge, invariants: Iterable[Invariant], drifts: Mapping[Invariant, Drift]) -> None:
    for invariant in invariants:
        drift = drifts.get(invariant)
        gauge.labels(invariant.name.lower()).set(drift.count if drift else 0)
