"""Chooses how a consumer hears of events: by the feeds alone, or by RabbitMQ with the feeds behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from messaging.feed import Feeds, FeedTransport
from messaging.names import EXCHANGE
from messaging.port import DeadLetters, Transport


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where a consumer's events come from. It reads no environment; whoever starts the process knows."""

    feed_urls: Mapping[str, str]
    """Each service's base URL."""
    rabbitmq_url: str | None = None
    """With it, events come by RabbitMQ."""
    exchange: str = EXCHANGE


@dataclass(frozen=True, slots=True)
class Wired:
    feeds: Feeds
    transport: Transport
    dead_letters: DeadLetters | None
    """Where the transport keeps them; None if the consumer has to."""

    async def close(self) -> None:
        await self.feeds.close()


def wire(wiring: Wiring, *, consumer: str) -> Wired:
    feeds = Feeds.at(wiring.feed_urls)
    if wiring.rabbitmq_url is None:
        return Wired(feeds, FeedTransport(feeds), None)
    # FastStream takes a third of a second to import, which followers of the feed need not pay.
    from messaging.rabbit.transport import RabbitTransport

    rabbit = RabbitTransport(wiring.rabbitmq_url, feeds, exchange=wiring.exchange, consumer=consumer)
    return Wired(feeds, rabbit, rabbit.dead_letters)
