"""The relay: takes the services' events from their feeds to RabbitMQ, for all who listen there."""

from fastapi import FastAPI

from messaging.feed import Feeds, FeedTransport
from messaging.names import EXCHANGE
from messaging.rabbit.publisher import RabbitPublisher
from services.kernel.consumer.app import ConsumerProcess, create_consumer_app
from services.kernel.database import Database
from services.relay.relay import relay_to


def create_app(*, database_url: str, feed_urls: dict[str, str], rabbitmq_url: str, exchange: str = EXCHANGE) -> FastAPI:
    database = Database(database_url)
    feeds = Feeds.at(feed_urls)
    publisher = RabbitPublisher(rabbitmq_url, exchange)

    async def close() -> None:
        await publisher.close()
        await feeds.close()

    return create_consumer_app(
        ConsumerProcess(
            taker=relay_to(publisher, database, tuple(feed_urls)),
            database=database,
            transport=FeedTransport(feeds),
            feeds=feeds,
            on_stop=close,
        )
    )
