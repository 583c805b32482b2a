"""The notifications: tells customers what became of their orders, from the services' events alone."""

from collections.abc import Sequence

from fastapi import FastAPI

from contracts.events import PublicEvent
from messaging.names import EXCHANGE
from messaging.transports import Wiring, wire
from services.kernel.consumer.app import ConsumerProcess, create_consumer_app
from services.kernel.consumer.consumer import Consumer
from services.kernel.consumer.dead_letters import TableOfDeadLetters
from services.kernel.database import Database
from services.notifications.recording import record
from services.notifications.routes import notification_routes
from services.notifications.sender import LogSender, NotificationSender, Sending
from services.notifications.texts import notifies

NAME = "notifications"
SERVICES = ("order", "payment", "shipping")


def create_app(
    *,
    database_url: str,
    feed_urls: dict[str, str],
    rabbitmq_url: str | None = None,
    exchange: str = EXCHANGE,
    sender: NotificationSender | None = None,
) -> FastAPI:
    """The notifications as an ASGI app. Without a sender they are only logged."""
    database = Database(database_url)
    wired = wire(Wiring(feed_urls, rabbitmq_url, exchange), consumer=NAME)
    dead_letters = wired.dead_letters or TableOfDeadLetters(database)
    sending = Sending(database, sender or LogSender())

    def look(taken: Sequence[PublicEvent]) -> None:
        if any(map(notifies, taken)):
            sending.wake()

    return create_consumer_app(
        ConsumerProcess(
            taker=Consumer(NAME, SERVICES, database=database, apply=record, dead_letters=dead_letters, on_taken=look),
            database=database,
            transport=wired.transport,
            feeds=wired.feeds,
            dead_letters=dead_letters,
            routers=(notification_routes(database),),
            alongside=(sending.run,),
            on_stop=wired.close,
        )
    )
