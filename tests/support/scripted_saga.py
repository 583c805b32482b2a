"""A saga whose definition comes with its input, so that tests can run any."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.base import Contract
    from contracts.policy import Policy
    from contracts.sagas import Cause, StepKind
    from tests.support.participants import BUGS, Command
    from workflows.saga.definition import Operation, Parallel, SagaDefinition, Step
    from workflows.saga.orchestrator import Saga, SagaResult

REFUSAL = "NO"


class Plan(Contract):
    """Places of steps, written `name` or `name1|name2`; `!name` is the pivot, and what follows it is retriable.

    `name?` may end by the event `name_done` or `name_refused`.
    """

    places: tuple[str, ...]
    policy: Policy = Policy()

    def definition(self) -> SagaDefinition:
        after_pivot = False
        table: list[Parallel] = []
        for place in self.places:
            is_pivot = place.startswith("!")
            kind = StepKind.PIVOT if is_pivot else StepKind.RETRIABLE if after_pivot else StepKind.COMPENSATABLE
            table.append(tuple(_step(name, kind) for name in place.removeprefix("!").split("|")))
            after_pivot = after_pivot or is_pivot
        return SagaDefinition("scripted", tuple(table))


def _step(written: str, kind: StepKind) -> Step:
    name = written.removesuffix("?")
    done_by, refused_by = (f"{name}_done", f"{name}_refused") if written != name else (None, None)

    def command(_: Plan, __: Cause | None = None) -> Command:
        if name in BUGS:
            raise ZeroDivisionError("a bug in workflow code")
        return Command(step=name)

    half = "fence" if kind is StepKind.PIVOT else "undo"
    undo = None if kind is StepKind.RETRIABLE else Operation(f"{half}_{name}", command, (REFUSAL,))
    return Step(
        name, kind, "test", Operation(f"act_{name}", command, (REFUSAL,)), undo, done_by=done_by, refused_by=refused_by
    )


@workflow.defn
class ScriptedSaga:
    @workflow.run
    async def run(self, plan: Plan) -> SagaResult:
        return await Saga(plan.definition(), plan, policy=plan.policy).run()
