"""Where kernel tests run their sagas: a dev server, scripted participants, one worker with a cache and one without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from contracts.policy import Policy
from contracts.sagas import Decision, DecisionKind, SagaStatus
from contracts.wire import StepOutcome
from run.worker import workflow_runner
from tests.support.eventually import eventually
from tests.support.participants import Move, Participants
from tests.support.scripted_saga import REFUSAL, Plan, ScriptedSaga
from workflows.converter import DATA_CONVERTER
from workflows.names import DECIDE, SAGA_COMPENSATED, SAGA_FORCED, SAGA_STATUS, STEP_OUTCOME
from workflows.policies import TASK_TIMEOUT
from workflows.saga.orchestrator import SagaResult

WARM, COLD = "warm", "cold"
"""Task queues: of the worker that keeps workflows in its cache, and of the one that replays them at each task."""

QUICK = Policy(
    deadline_s=30,
    fast_timeout_s=0.5,
    attempt_timeout_s=1,
    retry_initial_s=0.01,
    retry_max_s=0.02,
    action_attempts=3,
    stuck_after=3,
)
FOUR_STEPS = ("a", "b", "!p", "r")


@dataclass
class Run:
    """One saga of a test, from its start to the judgement of its end."""

    handle: WorkflowHandle[ScriptedSaga, SagaResult]
    participants: Participants
    plan: Plan
    ending: dict[str, object] = field(default_factory=dict)

    @property
    def calls(self) -> list[str]:
        return self.participants.calls_of(self.handle.id)

    @property
    def live(self) -> set[str]:
        return self.participants.live(self.handle.id)

    async def end(self) -> SagaStatus:
        """How the workflow closed, told as the saga's status."""
        try:
            return (await asyncio.wait_for(self.handle.result(), timeout=60)).status
        except TimeoutError:
            raise AssertionError(f"{self.plan.places} has not ended after 60 s; calls: {self.calls}") from None
        except WorkflowFailureError as error:
            cause = error.cause
        if isinstance(cause, CancelledError):
            self.ending = {"cause": "cancelled"}
            return SagaStatus.COMPENSATED
        assert isinstance(cause, ApplicationError)
        self.ending = dict(cause.details[0])
        return {SAGA_COMPENSATED: SagaStatus.COMPENSATED, SAGA_FORCED: SagaStatus.FORCED}[cause.type or ""]

    async def status(self) -> str | None:
        """What a search would find now."""
        description = await self.handle.describe()
        return description.typed_search_attributes.get(SAGA_STATUS)

    async def until(self, status: SagaStatus) -> None:
        async def reached() -> bool:
            return await self.status() == status

        await eventually(reached, within_s=20)

    async def decide(self, step: str, decision: DecisionKind) -> None:
        await self.handle.execute_update(
            DECIDE, Decision(step=step, decision=decision, reason="test"), result_type=type(None)
        )

    async def tell(self, step: str, *, refused: bool = False) -> None:
        """The outcome of what was accepted is known, and its event comes."""
        self.participants.conclude(f"{self.handle.id}:{step}", refused=refused)
        await self.send_event(step, refused=refused)

    async def send_event(self, step: str, *, refused: bool = False) -> None:
        outcome = (
            StepOutcome(step=step, event=f"{step}_refused", refusal=REFUSAL, message="refused by event")
            if refused
            else StepOutcome(step=step, event=f"{step}_done")
        )
        await self.handle.signal(STEP_OUTCOME, outcome)

    async def check_clean(self) -> None:
        """Judges the end: all effects stand, or none does; and the history replays."""
        status = await self.end()
        steps = {step.name for step in self.plan.definition().steps}
        self.participants.land_late_effects(self.handle.id)
        expected = steps if status is SagaStatus.COMPLETED else set()
        assert status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED), f"ended {status}"
        assert self.live == expected, f"{status}, yet these effects stand: {sorted(self.live)}; calls: {self.calls}"
        await self.replay()

    async def replay(self) -> None:
        history = await self.handle.fetch_history()
        replayer = Replayer(workflows=[ScriptedSaga], workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
        await replayer.replay_workflow(history)


@dataclass
class Bench:
    client: Client
    participants: Participants

    async def start(
        self,
        places: tuple[str, ...] = FOUR_STEPS,
        script: dict[str, list[Move]] | None = None,
        always: dict[str, Move] | None = None,
        *,
        queue: str = WARM,
        policy: Policy = QUICK,
        saga_id: str | None = None,
    ) -> Run:
        """Starts a saga. Scripts are keyed by `step` for an action and `-step` for its compensation or fence."""
        saga_id = saga_id or f"test-{uuid4()}"
        plan = Plan(places=places, policy=policy)
        for key, moves in (script or {}).items():
            self.participants.scripts[_address(saga_id, key, plan)] = list(moves)
        for key, move in (always or {}).items():
            self.participants.always[_address(saga_id, key, plan)] = move
        handle = await self.client.start_workflow(
            ScriptedSaga.run, plan, id=saga_id, task_queue=queue, task_timeout=TASK_TIMEOUT
        )
        return Run(handle, self.participants, plan)

    def address(self, saga_id: str, key: str, places: tuple[str, ...] = FOUR_STEPS) -> tuple[str, str]:
        """Where the participants keep what concerns one half of a step."""
        return _address(saga_id, key, Plan(places=places))


def _address(saga_id: str, key: str, plan: Plan) -> tuple[str, str]:
    name = key.removeprefix("-")
    step = plan.definition().step(name)
    operation = step.undo if key.startswith("-") else step.action
    assert operation is not None
    return f"{saga_id}:{name}", operation.name.split("_")[0]


@asynccontextmanager
async def open_bench(environment: WorkflowEnvironment) -> AsyncIterator[Bench]:
    participants = Participants()
    async with AsyncExitStack() as stack:
        for queue, cached in ((WARM, 1000), (COLD, 0)):
            await stack.enter_async_context(
                Worker(
                    environment.client,
                    task_queue=queue,
                    workflows=[ScriptedSaga],
                    activities=[participants.attempt],
                    workflow_runner=workflow_runner(),
                    max_cached_workflows=cached,
                )
            )
        yield Bench(environment.client, participants)
