"""The three services over HTTP, and the notifications that follow them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.notifications.app import create_app as create_notifications_app
from services.notifications.sender import Notification
from services.order.app import create_app as create_order_app
from services.payment.app import create_app as create_payment_app
from services.shipping.app import create_app as create_shipping_app
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.http_server import served
from tests.support.service_client import SagaAt, Service


@dataclass(frozen=True)
class World:
    """The services, each with its own log."""

    databases: Databases
    order: Service
    payment: Service
    shipping: Service

    @property
    def feed_urls(self) -> dict[str, str]:
        named = {"order": self.order, "payment": self.payment, "shipping": self.shipping}
        return {name: str(service.http.base_url) for name, service in named.items()}

    def database_url(self, name: str) -> str:
        return self.databases.url(name)


@dataclass
class FallibleSender:
    """Implements `NotificationSender`; remembers what it has sent."""

    failures: int = 0
    """How many attempts fail from now on."""
    refused_orders: set[str] = field(default_factory=set)
    """Nothing about these can be sent."""
    hangs: int = 0
    """How many attempts never end by themselves, before those that fail."""
    sent: list[Notification] = field(default_factory=list)

    async def send(self, notification: Notification) -> None:
        if self.hangs > 0:
            self.hangs -= 1
            await asyncio.Event().wait()
        if self.failures > 0:
            self.failures -= 1
            raise ConnectionError("the way to customers is closed")
        if notification.order_id in self.refused_orders:
            raise ConnectionError("this customer cannot be reached")
        self.sent.append(notification)

    def sent_about(self, order_id: str) -> list[str]:
        return [notification.event_type for notification in self.sent if notification.order_id == order_id]


class Notifications:
    """The notifications, as their readers see them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def all(self, **filters: str) -> list[dict[str, Any]]:
        """All pages, small ones."""
        found: list[dict[str, Any]] = []
        link: str | None = str(httpx.URL("/notifications", params={**filters, "limit": "3"}))
        while link:
            response = await self.http.get(link)
            assert response.is_success, response.text
            found += response.json()["notifications"]
            link = response.json()["next"]
        return found

    async def types(self, order_id: str) -> list[str]:
        return sorted(found["event_type"] for found in await self.all(order_id=order_id))

    async def all_sent(self, order_id: str, *types: str) -> bool:
        """Whether exactly these were recorded about the order, and sent."""
        found = await self.all(order_id=order_id)
        assert sorted(one["event_type"] for one in found) == sorted(types), found
        assert all(one["sent_at"] for one in found), found
        return True

    async def has_caught_up(self) -> bool:
        progress = (await self.http.get("/health/ready")).json()
        assert progress["status"] == "ready", progress
        return True


class SagaInTheWorld:
    """One order's saga, which sends its commands to all three services."""

    def __init__(self, world: World, commands: SagaCommands | None = None) -> None:
        self.commands = commands or SagaCommands()
        self.order = SagaAt(world.order, self.commands)
        self.payment = SagaAt(world.payment, self.commands)
        self.shipping = SagaAt(world.shipping, self.commands)

    @property
    def order_id(self) -> str:
        return str(self.commands.order_id)

    async def place(self) -> None:
        assert await self.order.outcome(self.commands.place_order()) == "done"

    async def pay(self) -> None:
        assert await self.payment.outcome(self.commands.authorize_payment()) == "done"
        assert await self.payment.outcome(self.commands.capture_payment()) == "done"


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The app served over HTTP, and a client to it."""
    async with served(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield http


@asynccontextmanager
async def notifications_of(world: World, sender: FallibleSender) -> AsyncIterator[Notifications]:
    app = create_notifications_app(
        database_url=world.database_url("notifications"), feed_urls=world.feed_urls, sender=sender
    )
    async with client_of(app) as http:
        yield Notifications(http)


@asynccontextmanager
async def services_on(databases: Databases) -> AsyncIterator[World]:
    """The three services, served over HTTP, on databases of their own."""
    apps = (
        create_order_app(database_url=databases.url("order"), fault_injection=False),
        create_payment_app(
            database_url=databases.url("payment"),
            gateway_database_url=databases.url("gateway"),
            fault_injection=False,
        ),
        create_shipping_app(database_url=databases.url("shipping"), stock_file=None, fault_injection=False),
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(app)) for app in apps]
        order, payment, shipping = map(Service, clients)
        yield World(databases, order, payment, shipping)


@pytest.fixture
async def world(databases: Databases) -> AsyncIterator[World]:
    """Services of the test's own. They take seconds to stop, because of the readers that wait for their feeds."""
    async with services_on(databases) as world:
        yield world


@pytest.fixture
def sender() -> FallibleSender:
    return FallibleSender()


@pytest.fixture
async def notifications(world: World, sender: FallibleSender) -> AsyncIterator[Notifications]:
    async with notifications_of(world, sender) as running:
        yield running
