"""Faults that break the connection, the answer or the caller: what a saga's client makes of them, and what happened."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.service_client import ServiceClient
from contracts.base import Contract
from contracts.faults import Fault, FaultKind, Moment, Phase
from contracts.wire import Call, Reply
from tests.support.builders import SagaCommands
from tests.support.databases import sqlite_database
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt
from tests.support.service_process import RunningService, service_process

pytestmark = pytest.mark.integration

PATIENT_S, IMPATIENT_S = 10.0, 0.3
HEAD_WITHIN_S = 2.0
"""For a caller who is to see an answer's head, also on a busy machine, and no more of it."""


class Caller:
    """A saga that calls the order service as a worker does."""

    def __init__(self, running: RunningService) -> None:
        self.at = SagaAt(running.service)
        self.deaths = 0
        self._client = ServiceClient("order", str(running.service.http.base_url), on_crash=self._die)

    @property
    def commands(self) -> SagaCommands:
        return self.at.commands

    async def send(self, command: Contract, *faults: Fault, timeout_s: float = PATIENT_S) -> Reply:
        call = Call(key=self.commands.key_of(command), timeout_s=timeout_s, faults=faults)
        return await self._client.send(command, call)

    async def failure(self, command: Contract, *faults: Fault, timeout_s: float = PATIENT_S) -> tuple[str | None, str]:
        with pytest.raises(ApplicationError) as failed:
            await self.send(command, *faults, timeout_s=timeout_s)
        return failed.value.type, failed.value.message

    async def close(self) -> None:
        await self._client.close()

    def _die(self) -> None:
        self.deaths += 1


@pytest.fixture(scope="module")
async def order(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    url = sqlite_database(tmp_path_factory.mktemp("faults"), "order")
    async with service_process("order", database_url=url, fault_injection=True) as running:
        yield running


@pytest.fixture
async def saga(order: RunningService) -> AsyncIterator[Caller]:
    caller = Caller(order)
    yield caller
    await caller.close()


def a_fault(kind: FaultKind, **more: object) -> Fault:
    return Fault.model_validate({"step": "any", "kind": kind, **more})


async def test_lost_reply_when_enacted_then_the_effect_but_no_reply(saga: Caller) -> None:
    lost = a_fault(FaultKind.LOST_REPLY)

    code, message = await saga.failure(saga.commands.place_order(), lost)

    assert (code, await saga.at.events()) == ("CONNECTION_LOST", ["OrderPlaced"])
    assert message.endswith("as the injected fault lost_reply has it")
    again = await saga.send(saga.commands.place_order(), lost)
    assert (again.outcome, again.injected) == ("done", None)


async def test_garbage_when_enacted_then_the_effect_but_an_unreadable_reply(saga: Caller) -> None:
    code, message = await saga.failure(saga.commands.place_order(), a_fault(FaultKind.GARBAGE))

    assert (code, await saga.at.events()) == ("UNREADABLE_REPLY", ["OrderPlaced"])
    assert "garbage" in message


async def test_slow_when_the_caller_is_patient_then_a_reply_that_says_so(saga: Caller) -> None:
    reply = await saga.send(saga.commands.place_order(), a_fault(FaultKind.SLOW, delay_ms=50))

    assert (reply.outcome, reply.injected) == ("done", "slow")


async def test_slow_when_the_caller_is_not_then_the_effect_but_no_reply(saga: Caller) -> None:
    slow = a_fault(FaultKind.SLOW, delay_ms=5000)

    code, message = await saga.failure(saga.commands.place_order(), slow, timeout_s=HEAD_WITHIN_S)

    assert (code, await saga.at.events()) == ("NO_REPLY", ["OrderPlaced"])
    assert "injected fault slow" in message


async def test_late_when_enacted_then_the_effect_comes_after_the_caller_gave_up(saga: Caller) -> None:
    code, message = await saga.failure(saga.commands.place_order(), a_fault(FaultKind.LATE), timeout_s=HEAD_WITHIN_S)

    assert code == "NO_REPLY"
    assert "injected fault late" in message

    async def has_landed() -> bool:
        return await saga.at.events() == ["OrderPlaced"]

    await eventually(has_landed, within_s=10)


async def test_late_when_it_is_undone_meanwhile_then_it_never_has_an_effect(saga: Caller) -> None:
    late = a_fault(FaultKind.LATE, delay_ms=300)
    await saga.failure(saga.commands.place_order(), late, timeout_s=IMPATIENT_S)
    undone = await saga.send(saga.commands.reject_order())

    async def was_refused() -> bool:
        commands = (await saga.at.service.http.get("/metrics")).text
        return 'amends_commands_total{command="PlaceOrder",outcome="ALREADY_COMPENSATED"}' in commands

    await eventually(was_refused, within_s=10)
    assert (undone.outcome, await saga.at.events()) == ("nothing_to_undo", [])


@pytest.mark.parametrize(("moment", "events"), [(Moment.BEFORE, []), (Moment.AFTER, ["OrderPlaced"])])
async def test_crash_when_enacted_then_the_caller_dies_before_or_after_the_effect(
    saga: Caller, moment: Moment, events: list[str]
) -> None:
    crash = a_fault(FaultKind.CRASH_WORKER, moment=moment)

    code, _ = await saga.failure(saga.commands.place_order(), crash)

    assert (code, saga.deaths, await saga.at.events()) == ("INJECTED_FAULT", 1, events)
    assert (await saga.send(saga.commands.place_order(), crash)).outcome == "done"
    assert saga.deaths == 1


async def test_crash_when_nobody_obeys_then_a_failure_like_others(order: RunningService) -> None:
    commands = SagaCommands()
    client = ServiceClient("order", str(order.service.http.base_url))
    command = commands.place_order()
    call = Call(key=commands.key_of(command), timeout_s=PATIENT_S, faults=(a_fault(FaultKind.CRASH_WORKER),))

    with pytest.raises(ApplicationError, match="told to die"):
        await client.send(command, call)
    await client.close()


async def test_faults_when_several_callers_meet_theirs_then_the_log_stays_readable(tmp_path: Path) -> None:
    plan = [
        (a_fault(kind, **({"delay_ms": 5000} if kind is FaultKind.SLOW else {}), phase=phase))
        for kind in FaultKind
        for phase in Phase
    ]
    async with service_process(
        "order", database_url=sqlite_database(tmp_path, "order"), fault_injection=True
    ) as running:
        callers = [Caller(running) for _ in plan]

        async def call(caller: Caller, fault: Fault) -> None:
            build = caller.commands.place_order if fault.phase is Phase.ACTION else caller.commands.reject_order
            with suppress(ApplicationError):
                await caller.send(build(), fault, timeout_s=IMPATIENT_S)

        await asyncio.gather(*map(call, callers, plan))
        for caller in callers:
            await caller.close()

        assert "Traceback" not in await running.kill()
