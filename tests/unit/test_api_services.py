"""How the API reads the services."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.audit.gather import gather
from api.config import ApiSettings
from api.reading import ServiceUnreachable
from api.services import ORDER, Services
from contracts.sagas import SagaStatus, SagaView

STREAM = {"stream": "s", "version": 0, "state": {}, "events": [], "barrier": []}


def _services(answers: list[httpx.Response | Exception]) -> Services:
    def answer(_: httpx.Request) -> httpx.Response:
        reply = answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return _answering(answer)


def _answering(answer: Callable[[httpx.Request], httpx.Response]) -> Services:
    settings = ApiSettings(
        temporal_address="t:1",
        temporal_ui_url="http://u",
        order_url="http://order",
        payment_url="http://payment",
        shipping_url="http://shipping",
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


def _event(position: int, saga_id: str, event_type: str, **data: Any) -> dict[str, Any]:
    return {
        "position": position,
        "version": position,
        "type": event_type,
        "data": data,
        "key": f"{saga_id}:a_step",
        "saga_id": saga_id,
        "recorded_at": "2026-01-01T00:00:00Z",
    }


async def test_stock_when_more_sagas_moved_it_than_one_question_takes_then_asked_in_portions() -> None:
    asked: list[list[str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sagas = request.url.params.get_list("saga_id")
        asked.append(sagas)
        # Every saga has booked; and an old service, which leaves nobody out, tells of another one each time.
        events = [_event(int(saga), saga, "StockBooked") for saga in sagas] + [_event(1, "another", "StockBooked")]
        return httpx.Response(200, json=STREAM | {"events": events})

    stock = await _answering(answer).stock("BOOK-1", [str(number) for number in range(2, 252)])

    assert stock is not None
    assert [event.position for event in stock.events] == list(range(1, 252))
    assert [len(portion) for portion in asked] == [100, 100, 50]


async def test_evidence_when_gathered_then_of_the_stock_what_the_orders_own_sagas_moved() -> None:
    order_id = uuid4()
    saga_id, return_id = f"order-{order_id}", "return-1"
    line = {"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250}
    streams = {
        "order": [_event(1, saga_id, "OrderPlaced", currency="EUR", lines=[line])],
        "shipping": [
            _event(1, saga_id, "ShipmentBooked", units=[{"sku": "BOOK-1", "quantity": 2}]),
            _event(2, return_id, "ShipmentReturned"),
        ],
    }
    asked: list[tuple[str, list[str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        service, path = request.url.host, request.url.path
        if path.startswith("/streams/stock-"):
            asked.append((path, request.url.params.get_list("saga_id")))
            return httpx.Response(200, json=STREAM)
        if path.startswith("/streams/") and service in streams:
            return httpx.Response(200, json=STREAM | {"events": streams[service]})
        return httpx.Response(404, json={"title": "Not Found", "status": 404, "code": "NOT_FOUND", "detail": "none"})

    async def has_completed(_: str) -> SagaStatus:
        return SagaStatus.COMPLETED

    claimed: dict[str, Any] = {"order_id": order_id, "saga_id": saga_id, "status": SagaStatus.COMPLETED, "residue": ()}
    view = SagaView.model_construct(**claimed)

    evidence = await gather(_answering(answer), view, has_completed)

    assert asked == [("/streams/stock-BOOK-1", [saga_id, return_id])]
    assert evidence.returns == {return_id: SagaStatus.COMPLETED}
