"""Reading a service: streams at any version, stock, health, and what callers see when the service is unwell."""

import asyncio
from contextlib import closing

import pytest
from fastapi import APIRouter, FastAPI

from contracts.wire import Problem
from services.kernel import app as service_app
from services.kernel.database import Database
from services.order.app import create_app as create_order_app
from tests.support.databases import Databases
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.stock import receive


class TestStreams:
    async def test_stream_when_read_at_each_version_then_the_state_as_it_was(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())
        await saga.send(saga.commands.confirm_order())

        first, second = [await order.stream(saga.order_id, version) for version in (1, 2)]

        assert (first["version"], first["state"]["status"], len(first["events"])) == (1, "pending", 1)
        assert (second["version"], second["state"]["status"], len(second["events"])) == (2, "confirmed", 2)
        assert await order.stream(saga.order_id) == second

    async def test_stream_when_read_then_each_event_names_its_origin(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())

        (event,) = (await order.stream(saga.order_id))["events"]

        assert event["key"] == f"{saga.commands.saga_id}:place_order"
        assert (event["command"], event["saga_id"]) == ("PlaceOrder", saga.commands.saga_id)
        assert event["recorded_at"].endswith("Z")

    async def test_stream_when_the_version_is_beyond_its_head_then_404(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())

        response = await order.http.get(f"/streams/{saga.order_id}", params={"version": 2})

        assert (response.status_code, response.json()["code"]) == (404, "VERSION_NOT_FOUND")

    async def test_stream_when_asked_what_a_saga_did_then_its_events_and_the_state_of_all(
        self, shipping: Service
    ) -> None:
        sku = await receive(shipping, 9)
        one, other = SagaAt(shipping), SagaAt(shipping)
        await one.send(one.commands.book_shipment((sku, 2)))
        await one.send(one.commands.cancel_shipment())
        await other.send(other.commands.book_shipment((sku, 3)))
        whole = await shipping.stream(f"stock-{sku}")

        response = await shipping.http.get(f"/streams/stock-{sku}", params={"saga_id": [one.commands.saga_id, "none"]})

        told = response.json()
        assert [event["type"] for event in told["events"]] == ["StockBooked", "StockReturned"]
        assert {event["saga_id"] for event in told["events"]} == {one.commands.saga_id}
        assert (told["version"], told["state"], told["barrier"]) == (whole["version"], whole["state"], [])
        assert told["state"]["on_hand"] == 6

    async def test_stream_when_asked_for_a_past_version_and_a_saga_then_malformed(self, order: Service) -> None:
        response = await order.http.get("/streams/any", params={"version": 1, "saga_id": "order-1"})

        assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST")

    async def test_stream_when_there_is_none_then_404_whoever_is_asked_for(self, shipping: Service) -> None:
        response = await shipping.http.get("/streams/stock-none", params={"saga_id": "order-1"})

        assert (response.status_code, response.json()["code"]) == (404, "STREAM_NOT_FOUND")

    async def test_stream_when_it_has_but_a_tombstone_then_told_whoever_is_asked_for(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.reject_order())
        path = f"/streams/{saga.order_id}"

        ours, nobodys = [
            (await order.http.get(path, params={"saga_id": saga_id})).json()
            for saga_id in (saga.commands.saga_id, "none")
        ]

        assert [row["outcome"] for row in ours["barrier"]] == ["nothing_to_undo"]
        assert (ours["events"], nobodys["barrier"]) == ([], [])

    async def test_barrier_when_an_action_was_refused_then_its_code_is_shown(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment(token="tok_declined"))

        (row,) = (await payment.stream(saga.order_id))["barrier"]

        assert (row["phase"], row["outcome"], row["code"]) == ("action", "refused", "CARD_DECLINED")

    async def test_state_when_the_service_restarts_then_it_is_folded_again(self, databases: Databases) -> None:
        saga_commands = None
        states = []
        for _ in range(2):
            app = create_order_app(database_url=databases.url("order"), fault_injection=False)
            async with in_memory(app) as service:
                saga = SagaAt(service, saga_commands)
                saga_commands = saga.commands
                await saga.send(saga.commands.place_order())
                states.append(await service.stream(saga.order_id))

        assert states[0] == states[1]


class TestExpiry:
    async def test_capture_when_the_authorization_expired_then_the_money_still_balances(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment(token="tok_expires_before_capture"))

        assert await saga.outcome(saga.commands.capture_payment()) == "AUTHORIZATION_EXPIRED"
        assert await saga.outcome(saga.commands.capture_payment()) == "AUTHORIZATION_EXPIRED"
        assert await saga.outcome(saga.commands.release_payment()) == "nothing_to_undo"
        state = (await payment.stream(saga.order_id))["state"]
        assert (state["authorized_minor"], state["expired_minor"], state["held_minor"]) == (2500, 2500, 0)
        (hold,) = (await payment.http.get(f"/gateway/books/{saga.order_id}")).json()["holds"]
        assert hold["state"] == "expired"

    async def test_capture_when_nothing_was_authorized_then_it_is_refused(self, payment: Service) -> None:
        saga = SagaAt(payment)

        assert await saga.outcome(saga.commands.capture_payment()) == "AUTHORIZATION_EXPIRED"


class TestHealth:
    async def test_health_when_started_then_live_and_ready(self, order: Service) -> None:
        live, ready = [await order.http.get(f"/health/{probe}") for probe in ("live", "ready")]

        assert (live.json(), ready.json()["status"]) == ({"status": "live"}, "ready")

    async def test_openapi_when_read_then_it_describes_the_commands(self, order: Service) -> None:
        document = (await order.http.get("/openapi.json")).json()

        body = document["paths"]["/commands/place-order"]["post"]["requestBody"]["content"]["application/json"]
        assert body["schema"] == {"$ref": "#/components/schemas/PlaceOrder"}
        assert {"PlaceOrder", "Line", "Reply", "Problem"} <= document["components"]["schemas"].keys()


class TestUnwell:
    async def test_command_when_another_process_holds_the_database_then_503_and_later_done(
        self, order: Service, databases: Databases
    ) -> None:
        saga = SagaAt(order)

        with closing(Database(databases.url("order"))) as another, another.writing() as session:
            session.connection()
            response = await saga.send(saga.commands.place_order())

        assert (response.status_code, response.json()["code"]) == (503, "DATABASE_BUSY")
        assert int(response.headers["Retry-After"]) > 0
        assert await saga.outcome(saga.commands.place_order()) == "done"

    async def test_command_when_its_twin_is_at_the_gateway_for_long_then_503(self, slow_payment: Service) -> None:
        saga = SagaAt(slow_payment)
        first = asyncio.create_task(saga.send(saga.commands.authorize_payment()))
        await asyncio.sleep(0)

        second = await saga.send(saga.commands.authorize_payment())

        assert (second.status_code, second.json()["code"]) == (503, "KEY_IN_PROGRESS")
        assert int(second.headers["Retry-After"]) > 0
        assert (await first).json()["outcome"] == "done"

    async def test_request_when_the_service_fails_unexpectedly_then_500_without_internals(
        self, databases: Databases
    ) -> None:
        async with in_memory(broken_app(databases)) as service:
            response = await service.http.get("/broken")

        problem = Problem.model_validate_json(response.content)
        assert (response.status_code, problem.code) == (500, "INTERNAL_ERROR")
        assert "secret" not in response.text

    @pytest.mark.parametrize(
        "url", ["mysql://user:secret@host/db", "user:secret@host/db", "postgresql://u:secret@h:x/db"]
    )
    def test_url_when_it_is_of_no_database_of_ours_then_it_says_so_without_the_password(self, url: str) -> None:
        with pytest.raises(ValueError, match="sqlite:/// or postgresql://") as raised:
            Database(url)

        assert "secret" not in str(raised.value)


def broken_app(databases: Databases) -> FastAPI:
    router = APIRouter()

    @router.get("/broken")
    async def fail() -> None:
        raise RuntimeError("secret")

    return service_app.create_service_app(
        service_app.Service(
            name="broken",
            database=Database(databases.url("order")),
            operations=(),
            aggregates=(),
            fault_injection=False,
            routers=(router,),
        )
    )
