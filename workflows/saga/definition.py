"""A saga's definition: data that reads as a table, is checked at import, runs, draws itself and feeds the tests.

Guarantees of a definition that could be built: names are unique; every compensatable step has a compensation; at most
one pivot, alone in its place and with a fence; before it only compensatable steps, after it only retriable ones; only
compensatable steps may end by an event, and each event leads to one of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from contracts.base import Contract
from contracts.sagas import DefinitionView, StepDefinitionView, StepKind

Activity = Callable[..., Any] | str
"""An activity definition, or its name. It takes a command and a `Call`, and returns a `Reply`."""


class InvalidDefinition(ValueError):
    """A definition breaks one of the rules above; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One half of a step: the activity that does it, the command it gets, the refusals it may answer with.

    The command is built from the saga's input alone (for an undo: and the cause), never from another step's reply,
    so that it can be sent even if nothing of this run is remembered.
    """

    activity: Activity
    command: Callable[..., Contract]
    refusals: tuple[str, ...] = ()
    summary: str = ""
    """A few words for the Web UI."""

    @property
    def name(self) -> str:
        if isinstance(self.activity, str):
            return self.activity
        definition = getattr(self.activity, "__temporal_activity_definition", None)
        name = getattr(definition, "name", None)
        if not isinstance(name, str):
            raise InvalidDefinition(f"{self.activity!r} is not an activity: decorate it with @activity.defn")
        return name


@dataclass(frozen=True, slots=True)
class Step:
    """One place in a saga: what it does, and what undoes it (for a pivot: what fences it)."""

    name: str
    kind: StepKind
    service: str
    action: Operation
    undo: Operation | None = None
    done_by: str | None = None
    """The public event that says that an accepted action is done. Without one the action cannot be accepted."""
    refused_by: str | None = None
    """The public event that says that an accepted action is refused."""


Parallel = tuple[Step, ...]
"""Steps of one kind that run side by side."""


@dataclass(frozen=True, slots=True)
class SagaDefinition:
    """The ordered places of a saga, each with one step or several parallel ones.

    Raises:
        InvalidDefinition: the table breaks a rule.
    """

    name: str
    table: tuple[Step | Parallel, ...]
    input: type[Contract] = Contract
    """What the saga is started with, and all its commands are built from."""
    places: tuple[Parallel, ...] = field(init=False)

    def __post_init__(self) -> None:
        places = tuple((place,) if isinstance(place, Step) else tuple(place) for place in self.table)
        object.__setattr__(self, "places", places)
        for problem in _problems(places):
            raise InvalidDefinition(f"saga {self.name}: {problem}")

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for place in self.places for step in place)

    @property
    def pivot(self) -> Step | None:
        return next((step for step in self.steps if step.kind is StepKind.PIVOT), None)

    @property
    def places_after_pivot(self) -> tuple[Parallel, ...]:
        """What is left to do once the pivot has happened."""
        return tuple(place for place in self.places if place[0].kind is StepKind.RETRIABLE)

    def place_of(self, step: Step) -> int:
        """The index of the step's place."""
        return next(index for index, place in enumerate(self.places) if step in place)

    def step(self, name: str) -> Step:
        """The step of that name; KeyError where there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def view(self) -> DefinitionView:
        """The definition as the API shows it."""
        return DefinitionView(
            name=self.name,
            places=tuple(tuple(_step_view(step) for step in place) for place in self.places),
            diagram="\n".join(_diagram(self)),
        )


def _problems(places: tuple[Parallel, ...]) -> Iterator[str]:
    steps = [step for place in places for step in place]
    if not steps or not all(places):
        yield "needs at least one step in every place"
    names = [step.name for step in steps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"step names must be unique, these are not: {', '.join(twice)}"
    operations = [operation.name for step in steps for operation in (step.action, step.undo) if operation]
    if twice := sorted({name for name in operations if operations.count(name) > 1}):
        # A history names activities; each must lead back to one step and phase.
        yield f"an activity may serve one step and phase only, these serve more: {', '.join(twice)}"
    for step in steps:
        if step.kind is StepKind.COMPENSATABLE and step.undo is None:
            yield f"{step.name} is compensatable and needs a compensation"
        if step.kind is StepKind.PIVOT and step.undo is None:
            yield f"{step.name} is the pivot and needs a fence"
        if step.kind is StepKind.RETRIABLE and step.undo is not None:
            yield f"{step.name} is retriable: it can only go forward, so it has no compensation"
        if step.done_by is not None and step.kind is not StepKind.COMPENSATABLE:
            yield f"{step.name} ends by an event, and so must be compensatable: only before the pivot a deadline holds"
        if step.refused_by is not None and step.done_by is None:
            yield f"{step.name} may be refused by an event, so it needs one that says it is done"
    events = [event for step in steps for event in (step.done_by, step.refused_by) if event]
    if twice := sorted({event for event in events if events.count(event) > 1}):
        yield f"an event may end one step and in one way only, these are named more often: {', '.join(twice)}"
    for place in places:
        if len({step.kind for step in place}) > 1:
            yield f"a parallel group holds one kind: {', '.join(step.name for step in place)}"
        if len(place) > 1 and place[0].kind is StepKind.PIVOT:
            yield f"the pivot stands alone in its place: {', '.join(step.name for step in place)}"
    order = [StepKind.COMPENSATABLE, StepKind.PIVOT, StepKind.RETRIABLE]
    ranks = [order.index(place[0].kind) for place in places if place]
    if ranks != sorted(ranks):
        yield "compensatable steps come first, then the pivot, then retriable steps"
    if ranks.count(1) > 1:
        yield "there is at most one pivot"
    if 2 in ranks and 0 in ranks and 1 not in ranks:
        yield "retriable steps follow a pivot: without one there is no point from which the saga only goes forward"


def _step_view(step: Step) -> StepDefinitionView:
    return StepDefinitionView(
        name=step.name,
        kind=step.kind,
        service=step.service,
        action=step.action.name,
        refusals=step.action.refusals,
        undo=step.undo.name if step.undo else None,
        undo_refusals=step.undo.refusals if step.undo else (),
        done_by=step.done_by,
        refused_by=step.refused_by,
    )


def _diagram(definition: SagaDefinition) -> Iterator[str]:
    """Mermaid: the way forward from top to bottom, each undo beside what it undoes."""
    yield "flowchart TD"
    ends = ["start([start])"]
    for place in definition.places:
        for step in place:
            shape = f"{{{{{step.name}}}}}" if step.kind is StepKind.PIVOT else f"[{step.name}]"
            for end in ends:
                yield f"  {end} --> {step.name}{shape}"
            if step.undo:
                label = "fence" if step.kind is StepKind.PIVOT else "undo"
                yield f"  {step.name} -. {label} .-> {step.undo.name}({step.undo.name})"
            for event in filter(None, (step.done_by, step.refused_by)):
                yield f"  {event}>{event}] -. may end .-> {step.name}"
        ends = [step.name for step in place]
    for end in ends:
        yield f"  {end} --> completed([completed])"
