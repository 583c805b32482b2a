"""How the API reads the services."""

import httpx
import pytest

from api.config import ApiSettings
from api.reading import ServiceUnreachable
from api.services import ORDER, Services

STREAM = {"stream": "s", "version": 0, "state": {}, "events": [], "barrier": []}


def _services(answers: list[httpx.Response | Exception]) -> Services:
    def answer(_: httpx.Request) -> httpx.Response:
        reply = answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    settings = ApiSettings(
        temporal_address="t:1",
        temporal_ui_url="http://u",
        order_url="http://o",
        payment_url="http://p",
        shipping_url="http://s",
        views_url="http://v",
    )
    return Services(settings, httpx.MockTransport(answer))


async def test_read_when_an_idle_connection_is_just_closed_then_repeated_once() -> None:
    closed = httpx.RemoteProtocolError("Server disconnected without sending a response.")

    stream = await _services([closed, httpx.Response(200, json=STREAM)]).stream(ORDER, "s")
    with pytest.raises(ServiceUnreachable):
        await _services([closed, closed]).stream(ORDER, "s")

    assert stream is not None
    assert stream.version == 0
