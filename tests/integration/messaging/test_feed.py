from collections.abc import AsyncIterator

import pytest

from messaging.feed import Feeds, FeedTransport
from services.kernel.consumer.dead_letters import TableOfDeadLetters
from tests.integration.messaging.following_behaviour import FollowingBehaviour
from tests.integration.messaging.stage import OrderLog, Wires


class TestFeed(FollowingBehaviour):
    @pytest.fixture
    async def wires(self, log: OrderLog) -> AsyncIterator[Wires]:
        feeds = Feeds.at({"order": log.url})
        yield Wires(FeedTransport(feeds), TableOfDeadLetters)
        await feeds.close()
