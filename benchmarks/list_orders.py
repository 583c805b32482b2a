"""Measures the query side: pages of the order list among 100,000 orders, and how fast the views catch up.

`python -m benchmarks.list_orders` takes about two minutes. It starts what it needs on free ports, with databases in a
temporary folder, and shows what to expect; nothing is asserted about time.
"""

import logging
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import httpx
import structlog
import uvicorn
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from contracts import events as public
from contracts.commands import PlaceOrder
from contracts.events import EventData, PublicEvent
from contracts.orders import Line
from contracts.sagas import Cause
from services.kernel import event_log
from services.kernel.consumer.generations import FIRST, ensure_active
from services.kernel.database import Database
from services.kernel.event_log import Origin
from services.kernel.migrating import migrate
from services.kernel.tables import KERNEL_SCHEMA
from services.order.app import create_app as create_order_app
from services.order.events import OrderPlaced
from services.order.handlers import ORDER
from services.views.app import create_app as create_views_app
from services.views.projection import apply
from services.views.tables import VIEW_SCHEMA

ORDERS = 100_000
CUSTOMERS = 1_000
LIMIT = 50
PAGE = 1_000
RUNS = 100
BATCH = 2_000
FEED_EVENTS = 5_000
STARTS_WITHIN_S = 30
CATCHES_UP_WITHIN_S = 120
NOWHERE = "http://127.0.0.1:9"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    console = Console()
    with TemporaryDirectory() as folder:
        console.print(f"Filling the views with {ORDERS:,} orders …")
        url = f"sqlite:///{folder}/views.db"
        filled_s, events = _fill(url)
        console.print(f"Asking for pages of {LIMIT}, {RUNS} times each …")
        pages = _measure_pages(url)
        console.print(f"Catching up with {FEED_EVENTS:,} events over HTTP …")
        caught_up_s = _measure_catch_up(Path(folder))
    console.print(_table_of(pages))
    console.print(f"Projection alone, {BATCH:,} events a transaction: {events / filled_s:,.0f} events/s")
    console.print(f"Catching up from a feed over HTTP: {FEED_EVENTS / caught_up_s:,.0f} events/s")


@dataclass(frozen=True, slots=True)
class PageTime:
    name: str
    params: dict[str, Any]
    median_ms: float
    slowest_ms: float


def _fill(url: str) -> tuple[float, int]:
    """How long it took, in seconds, and for how many events."""
    count = 0
    with closing(Database(url)) as database:
        migrate(database, VIEW_SCHEMA)
        with database.writing() as session:
            ensure_active(session)
        events = _events()
        began = time.perf_counter()
        while batch := list(islice(events, BATCH)):
            with database.writing() as session:
                for event in batch:
                    apply(session, event, FIRST)
            count += len(batch)
        return time.perf_counter() - began, count


def _events() -> Iterator[PublicEvent]:
    """Of the order service: each order is placed; a tenth are rejected, four tenths confirmed, the rest pending."""
    position = 0
    line = public.OrderLine(sku="BOOK-1", quantity=1, unit_price_minor=2500)
    for number in range(ORDERS):
        customer = f"cust-{number % CUSTOMERS}"
        facts: list[EventData] = [
            public.OrderPlaced(customer_id=customer, currency="EUR", total_minor=2500, lines=(line,))
        ]
        match number % 10:
            case 0:
                facts.append(public.OrderRejected(cause=list(Cause)[number // 10 % len(Cause)]))
            case 1 | 2 | 3 | 4:
                facts.append(public.OrderConfirmed())
        order_id = str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))
        for version, fact in enumerate(facts, 1):
            position += 1
            yield PublicEvent.of(
                "order",
                fact,
                subject=order_id,
                time=EPOCH + timedelta(seconds=number, milliseconds=version),
                causationid=f"order-{order_id}:place_order/PlaceOrder",
                sagaid=f"order-{order_id}",
                stream=order_id,
                streamversion=version,
                position=position,
                logid="benchmark",
            )


def _measure_pages(url: str) -> list[PageTime]:
    services = ("order", "payment", "shipping")
    with (
        _serving(_views, url, dict.fromkeys(services, NOWHERE)) as base_url,
        httpx.Client(base_url=base_url, trust_env=False, timeout=30) as http,
    ):
        deep = _cursor_after(http, (PAGE - 1) * LIMIT)
        asked: dict[str, dict[str, Any]] = {
            "page 1": {},
            f"page {PAGE:,}": {"after": deep},
            "rejected for a deadline": {"cause": "deadline"},
            "pending, of one customer": {"customer": "cust-5", "status": "pending"},
            "within a day, from its middle": {
                "from": (EPOCH + timedelta(hours=12)).isoformat(),
                "to": (EPOCH + timedelta(hours=18)).isoformat(),
            },
        }
        return [_measure_page(http, name, {**params, "limit": LIMIT}) for name, params in asked.items()]


def _measure_page(http: httpx.Client, name: str, params: dict[str, Any]) -> PageTime:
    times_ms = []
    for _ in range(RUNS):
        began = time.perf_counter()
        page = http.get("/views/orders", params=params).raise_for_status()
        times_ms.append((time.perf_counter() - began) * 1000)
        if len(page.json()["orders"]) != LIMIT:
            raise RuntimeError(f"{name}: expected {LIMIT} orders, got {len(page.json()['orders'])}")
    return PageTime(name, params, statistics.median(times_ms), max(times_ms))


def _cursor_after(http: httpx.Client, count: int) -> str:
    token: str | None = None
    while count:
        limit = min(count, 1000)
        params: dict[str, Any] = {"limit": limit, **({"after": token} if token else {})}
        token = http.get("/views/orders", params=params).raise_for_status().json()["next"]
        count -= limit
    if token is None:
        raise RuntimeError(f"expected a page after {count} orders")
    return token


def _measure_catch_up(folder: Path) -> float:
    """How many seconds the views take from their start until they have all events of the feeds."""
    url, views_url = f"sqlite:///{folder}/order.db", f"sqlite:///{folder}/caught-up.db"
    for of, schema in ((url, KERNEL_SCHEMA), (views_url, VIEW_SCHEMA)):
        with closing(Database(of)) as database:
            migrate(database, schema)
    with _serving(_order, url) as order:
        _append(url, FEED_EVENTS)
        began = time.perf_counter()
        feeds = {"order": order, "payment": NOWHERE, "shipping": NOWHERE}
        with (
            _serving(_views, views_url, feeds) as views,
            httpx.Client(base_url=views, trust_env=False, timeout=30) as http,
        ):
            while http.get("/health/ready").raise_for_status().json()["sources"]["order"]["lag"] != 0:
                if time.perf_counter() - began > CATCHES_UP_WITHIN_S:
                    raise RuntimeError(f"the views did not catch up within {CATCHES_UP_WITHIN_S} s")
                time.sleep(0.1)
            return time.perf_counter() - began


def _append(url: str, count: int) -> None:
    line = Line(sku="BOOK-1", quantity=1, unit_price_minor=2500)
    with closing(Database(url)) as database, database.writing() as session:
        for number in range(count):
            order_id = UUID(int=number)
            saga_id = f"order-{order_id}"
            placed = OrderPlaced(saga_id, f"cust-{number % CUSTOMERS}", "EUR", (line,), 2500)
            origin = Origin(f"{saga_id}:place_order", PlaceOrder.__name__, saga_id)
            event_log.append(session, ORDER, str(order_id), [placed], expected_version=0, origin=origin)


def _order(url: str) -> FastAPI:
    return create_order_app(database_url=url, fault_injection=False)


def _views(url: str, feed_urls: dict[str, str]) -> FastAPI:
    return create_views_app(database_url=url, feed_urls=feed_urls)


@contextmanager
def _serving(create: Any, *arguments: Any) -> Iterator[str]:
    """An app in a process of its own, at the URL that is answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listener, create, arguments), daemon=True
        )
        process.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        _wait_until_ready(process, url)
        yield url
    finally:
        process.kill()
        process.join()


def _serve(listener: socket.socket, create: Any, arguments: tuple[Any, ...]) -> None:
    # That services cannot be reached is intended here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    config = uvicorn.Config(create(*arguments), log_level="warning", http="httptools", loop="uvloop")
    uvicorn.Server(config).run(sockets=[listener])


def _wait_until_ready(process: BaseProcess, url: str) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            httpx.get(f"{url}/health/live", trust_env=False, timeout=5).raise_for_status()
        except httpx.HTTPError:
            if not process.is_alive() or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _table_of(pages: list[PageTime]) -> Table:
    table = Table(title=f"GET /views/orders, {ORDERS:,} orders, limit {LIMIT}, over HTTP")
    for column in ("page", "median ms", "slowest ms", "against page 1"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for page in pages:
        ratio = page.median_ms / pages[0].median_ms
        table.add_row(page.name, f"{page.median_ms:.2f}", f"{page.slowest_ms:.2f}", f"{ratio:.2f} x")
    return table


if __name__ == "__main__":
    main()
