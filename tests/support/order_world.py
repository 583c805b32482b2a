"""A world around our sagas for API tests: scripted activities in place of services, and a worker to run them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import Worker

from contracts.sagas import StepKind
from contracts.wire import Call, Outcome, Reply
from run.worker import WORKFLOWS, workflow_runner
from workflows.definitions import DEFINITIONS

OK = Reply(outcome=Outcome.DONE)
NOTHING = Reply(outcome=Outcome.NOTHING_TO_UNDO)
FENCED = Reply(outcome=Outcome.FENCED)
ACCEPTED = Reply(outcome=Outcome.ACCEPTED)
ALREADY = Reply(outcome=Outcome.ALREADY_DONE)
Move = Reply | str
"""A reply; or a failure's code, which is a refusal where it begins with an exclamation mark."""
_STEPS = [step for definition in DEFINITIONS for step in definition.steps]
_UNDOES = {step.undo.name: step.action.name for step in _STEPS if step.undo}
_FENCES = {step.undo.name for step in _STEPS if step.undo and step.kind is StepKind.PIVOT}


class OrderWorld:
    """Plays all services. Moves are scripted per saga and activity; without a script everything works."""

    def __init__(self) -> None:
        self.scripts: dict[tuple[str, str], list[Move]] = {}
        self.always: dict[tuple[str, str], Move] = {}
        self.holds: dict[tuple[str, str], asyncio.Event] = {}
        """Attempts that wait for an event before they do anything."""
        self.calls: dict[str, list[str]] = defaultdict(list)
        """The attempts of each saga, in the order of their arrival."""
        self._done: set[tuple[str, str]] = set()

    @activity.defn(dynamic=True)
    async def attempt(self, args: Sequence[RawValue]) -> Reply:
        name = activity.info().activity_type
        call = activity.payload_converter().from_payload(args[1].payload, Call)
        saga_id = call.key.split(":")[0]
        here = (saga_id, name)
        self.calls[saga_id].append(name)
        if here in self.holds:
            await self.holds[here].wait()
        script = self.scripts.get(here, [])
        move = script.pop(0) if script else self.always.get(here) or self._natural(here)
        if isinstance(move, str):
            code = move.removeprefix("!")
            raise ApplicationError(
                f"scripted {code}",
                type=code,
                non_retryable=move.startswith("!"),
                category=ApplicationErrorCategory.BENIGN,
            )
        self._done.add(here)
        return move

    def _natural(self, here: tuple[str, str]) -> Reply:
        saga_id, name = here
        if name not in _UNDOES:
            return OK
        happened = (saga_id, _UNDOES[name]) in self._done
        if name in _FENCES:
            return ALREADY if happened else FENCED
        return OK if happened else NOTHING


@asynccontextmanager
async def order_worker(client: Client, world: OrderWorld, task_queue: str) -> AsyncIterator[None]:
    """A worker that runs sagas in this world."""
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[world.attempt],
        workflow_runner=workflow_runner(),
    ):
        yield
