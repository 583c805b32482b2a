"""Puts the listener together: the API's delivery, behind what all consumers have in common."""

from fastapi import FastAPI

from api.config import ApiSettings
from api.listener import NAME, Listener, services_followed
from api.temporal import Temporal
from messaging.names import EXCHANGE
from messaging.port import Page
from messaging.transports import Wiring, wire
from services.kernel.consumer.app import ConsumerProcess, create_consumer_app
from services.kernel.consumer.forwarder import Forwarder
from services.kernel.database import Database
from workflows.definitions import DEFINITIONS


def create_app(
    *,
    settings: ApiSettings,
    database_url: str,
    feed_urls: dict[str, str],
    rabbitmq_url: str | None = None,
    exchange: str = EXCHANGE,
) -> FastAPI:
    """The listener as an ASGI app. It lives without Temporal, and gets on when that is there."""
    database = Database(database_url)
    wired = wire(Wiring(feed_urls, rabbitmq_url, exchange), consumer=NAME)
    listener: Listener | None = None

    async def deliver(page: Page) -> None:
        nonlocal listener
        if listener is None:
            listener = Listener(DEFINITIONS, await Temporal.open(settings))
        await listener.deliver(page.events)

    return create_consumer_app(
        ConsumerProcess(
            taker=Forwarder(NAME, services_followed(DEFINITIONS), database=database, deliver=deliver),
            database=database,
            transport=wired.transport,
            feeds=wired.feeds,
            on_stop=wired.close,
        )
    )
