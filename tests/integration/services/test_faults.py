"""Injected failures: what is enacted, how often, and that the service never contradicts itself."""

import pytest

from contracts.faults import FAULTS_HEADER, INJECTED_FAULT_HEADER, Fault, FaultKind, Phase
from contracts.wire import ALREADY_COMPENSATED, IDEMPOTENCY_KEY_HEADER
from services.order.app import create_app as create_order_app
from tests.support.builders import SagaCommands
from tests.support.databases import Databases
from tests.support.service_client import SagaAt, Service, in_memory

REFUSE = Fault(step="any", kind=FaultKind.REFUSE)
ERROR = Fault(step="any", kind=FaultKind.ERROR)


def on_compensation(kind: FaultKind) -> Fault:
    return Fault(step="any", phase=Phase.COMPENSATION, kind=kind)


class TestRefuse:
    async def test_refuse_when_no_code_is_given_then_the_first_declared_one(self, payment: Service) -> None:
        saga = SagaAt(payment)

        assert await saga.outcome(saga.commands.authorize_payment(), REFUSE) == "CARD_DECLINED"

    async def test_refuse_when_enacted_on_an_action_then_it_is_stored(self, payment: Service) -> None:
        saga = SagaAt(payment)
        fault = Fault(step="any", kind=FaultKind.REFUSE, code="INSUFFICIENT_FUNDS")
        await saga.send(saga.commands.authorize_payment(), fault)

        assert await saga.outcome(saga.commands.authorize_payment()) == "INSUFFICIENT_FUNDS"
        assert await saga.outcome(saga.commands.release_payment()) == "nothing_to_undo"
        assert await saga.events() == []

    async def test_refuse_when_enacted_on_a_compensation_then_it_is_not_stored(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment())
        fault = on_compensation(FaultKind.REFUSE)

        assert await saga.outcome(saga.commands.release_payment(), fault) == "PAYMENT_ALREADY_CAPTURED"
        assert await saga.outcome(saga.commands.release_payment(), fault) == "done"

    async def test_refuse_when_enacted_on_a_retriable_then_it_is_not_stored(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())

        assert await saga.outcome(saga.commands.confirm_order(), REFUSE) == "ORDER_NOT_PENDING"
        assert await saga.outcome(saga.commands.confirm_order(), REFUSE) == "done"

    async def test_refuse_when_the_action_has_happened_then_the_barrier_outranks_it(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())

        assert await saga.outcome(saga.commands.place_order(), REFUSE) == "done"
        await saga.send(saga.commands.reject_order())
        assert await saga.outcome(saga.commands.place_order(), REFUSE) == ALREADY_COMPENSATED
        assert await saga.outcome(saga.commands.reject_order(), on_compensation(FaultKind.REFUSE)) == "done"

    @pytest.mark.parametrize("code", [None, "CARD_DECLINED"])
    async def test_refuse_when_the_command_declares_no_such_refusal_then_it_is_not_enacted(
        self, payment: Service, code: str | None
    ) -> None:
        saga = SagaAt(payment)
        fault = Fault(step="any", phase=Phase.COMPENSATION, kind=FaultKind.REFUSE, code=code)

        assert await saga.outcome(saga.commands.abandon_capture(), fault) == "fenced"


class TestError:
    async def test_error_when_enacted_then_nothing_happened_and_a_retry_succeeds(self, order: Service) -> None:
        saga = SagaAt(order)

        response = await saga.send(saga.commands.place_order(), ERROR)

        assert (response.status_code, response.json()["code"]) == (503, "INJECTED_FAULT")
        assert "injected" in response.json()["detail"]
        assert int(response.headers["Retry-After"]) > 0
        assert await saga.events() == []
        assert await saga.outcome(saga.commands.place_order(), ERROR) == "done"

    async def test_error_when_it_is_for_the_other_phase_then_it_is_not_enacted(self, order: Service) -> None:
        saga = SagaAt(order)
        always = Fault(step="any", phase=Phase.COMPENSATION, kind=FaultKind.ERROR, times="always")

        assert await saga.outcome(saga.commands.place_order(), always) == "done"
        assert await saga.outcome(saga.commands.reject_order(), always) == "INJECTED_FAULT"

    async def test_plan_when_it_holds_several_faults_then_each_in_turn(self, order: Service) -> None:
        saga = SagaAt(order)
        twice = Fault(step="any", kind=FaultKind.ERROR, times=2)

        outcomes = [await saga.outcome(saga.commands.place_order(), twice, REFUSE) for _ in range(4)]

        assert outcomes == ["INJECTED_FAULT", "INJECTED_FAULT", "INVALID_ORDER", "INVALID_ORDER"]


class TestCounting:
    async def test_times_when_the_service_restarts_then_counting_goes_on(self, databases: Databases) -> None:
        commands = SagaCommands()
        twice = Fault(step="any", kind=FaultKind.ERROR, times=2)
        outcomes = []

        for _ in range(3):
            app = create_order_app(database_url=databases.url("order"), fault_injection=True)
            async with in_memory(app) as service:
                outcomes.append(await SagaAt(service, commands).outcome(commands.place_order(), twice))

        assert outcomes == ["INJECTED_FAULT", "INJECTED_FAULT", "done"]

    async def test_times_when_another_saga_has_the_same_plan_then_it_counts_for_itself(self, order: Service) -> None:
        first, second = SagaAt(order), SagaAt(order)

        assert await first.outcome(first.commands.place_order(), ERROR) == "INJECTED_FAULT"
        assert await second.outcome(second.commands.place_order(), ERROR) == "INJECTED_FAULT"


class TestSwitch:
    async def test_faults_when_injection_is_off_then_they_are_ignored(self, databases: Databases) -> None:
        app = create_order_app(database_url=databases.url("order"), fault_injection=False)
        async with in_memory(app) as service:
            saga = SagaAt(service)

            assert await saga.outcome(saga.commands.place_order(), ERROR, REFUSE) == "done"

    @pytest.mark.parametrize("plan", ["", "nonsense", "{}", '[{"step": "a"}]', '[{"step": "a", "kind": "explode"}]'])
    async def test_faults_when_the_plan_is_unreadable_then_422_and_no_effect(self, order: Service, plan: str) -> None:
        saga = SagaAt(order)
        command = saga.commands.place_order()
        headers = {IDEMPOTENCY_KEY_HEADER: saga.commands.key_of(command), FAULTS_HEADER: plan}

        response = await order.http.post("/commands/place-order", content=command.model_dump_json(), headers=headers)

        assert response.status_code == 422
        assert await saga.events() == []


class TestEnacted:
    async def test_enacted_when_faults_were_drawn_then_each_is_told_with_its_place(self, order: Service) -> None:
        saga = SagaAt(order)
        always = Fault(step="any", kind=FaultKind.ERROR, times="always")
        for _ in range(3):
            await saga.send(saga.commands.place_order(), REFUSE, always)
        await saga.send(saga.commands.reject_order(), on_compensation(FaultKind.ERROR))

        told = (await order.http.get(f"/faults/{saga.commands.saga_id}")).json()

        assert sorted((one["phase"], one["place"], one["kind"], one["times"]) for one in told) == [
            ("action", 0, "refuse", 1),
            ("action", 1, "error", 2),
            ("compensation", 0, "error", 1),
        ]

    async def test_enacted_when_the_saga_is_unknown_or_its_id_a_pattern_then_nothing(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order(), ERROR)

        assert (await order.http.get("/faults/order-1")).json() == []
        assert (await order.http.get("/faults/order%25")).json() == []

    async def test_metrics_when_a_fault_is_enacted_then_it_is_counted(self, order: Service) -> None:
        saga = SagaAt(order)

        await saga.send(saga.commands.place_order(), ERROR)

        metrics = (await order.http.get("/metrics")).text
        assert 'amends_faults_enacted_total{command="PlaceOrder",kind="error"} 1.0' in metrics

    async def test_duplicate_when_enacted_then_one_effect_and_one_answer(self, order: Service) -> None:
        saga = SagaAt(order)

        response = await saga.send(saga.commands.place_order(), Fault(step="any", kind=FaultKind.DUPLICATE))

        assert (response.json()["outcome"], response.headers[INJECTED_FAULT_HEADER]) == ("done", "duplicate")
        assert await saga.events() == ["OrderPlaced"]
