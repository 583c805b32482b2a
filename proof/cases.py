"""A case: one saga, and what is done to it. Its name says it all, so that it can be run again alone by its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.faults import Fault, FaultKind, Phase
from contracts.policy import Policy
from contracts.sagas import DecisionKind


class Path(StrEnum):
    """How steps are attempted first."""

    FAST = "fast"
    DURABLE = "durable"


class Group(StrEnum):
    """Why a case is in the proof."""

    HEALTHY = "healthy"
    SINGLE = "single"
    """One fault, at one step, in one phase."""
    CRASH = "crash"
    """A worker is killed before or after one effect."""
    FORGOTTEN = "forgotten"
    """A worker is killed, and the next one, which knows nothing of what was done, takes another turn."""
    DECISION = "decision"
    """An operator's other answers for a stuck step."""
    CANCEL = "cancel"
    DEADLINE = "deadline"
    PAIR = "pair"
    """A failing action and a failing compensation."""
    UNDO_PAIR = "undo-pair"
    """Two failing compensations."""
    OVERTAKEN = "overtaken"
    """An action that lands after its undo."""
    RESET = "reset"
    """An ended saga is reset to its start, and runs again without remembering anything."""


class When(StrEnum):
    """The moment of a step at which a saga is cancelled."""

    IN_FLIGHT = "in_flight"
    """An attempt is on the wire."""
    WAITING = "waiting"
    """Between two attempts."""
    STUCK = "stuck"
    AT_ONCE = "at_once"
    """As soon as it was started."""
    AT_THE_END = "at_the_end"


@dataclass(frozen=True, slots=True)
class Half:
    """A step's action, or its compensation or fence."""

    step: str
    phase: Phase

    def __str__(self) -> str:
        return f"{self.step}.{self.phase}"


@dataclass(frozen=True, slots=True)
class Cancel:
    """A cancellation, by the API or in Temporal itself, as with its Web UI."""

    when: When
    at: Half | None = None
    in_temporal: bool = False

    def __str__(self) -> str:
        what = "cancel_in_temporal" if self.in_temporal else "cancel"
        return f"{what}.{self.at}.{self.when}" if self.at else f"{what}.{self.when}"


@dataclass(frozen=True, slots=True)
class Case:
    """One saga, and what is done to it."""

    saga: str
    group: Group
    title: str
    """What is done to it, in short."""
    path: Path
    policy: Policy
    faults: tuple[Fault, ...] = ()
    deadline_s: float | None = None
    cancel: Cancel | None = None
    decision: DecisionKind = DecisionKind.RETRY
    """How its operator decides, where it is stuck."""
    reset: bool = False
    """Whether it is reset to its start when it has ended."""
    alone: bool = False
    """Whether another case's killing of a worker would change its end."""

    @property
    def name(self) -> str:
        return f"{self.saga}/{self.path}/{self.title}"

    @property
    def kills_workers(self) -> bool:
        """Such cases disturb whatever runs beside them."""
        return any(fault.kind is FaultKind.CRASH_WORKER for fault in self.faults)

    @property
    def options(self) -> Mapping[str, object]:
        """What is given with the request that starts the saga."""
        policy = self.policy.model_copy(update={"fast_path": self.path is Path.FAST})
        given: dict[str, object] = {
            "policy": policy.model_dump(mode="json"),
            "faults": [fault.model_dump(mode="json", exclude_none=True) for fault in self.faults],
        }
        return given if self.deadline_s is None else given | {"deadline_s": self.deadline_s}


def titled(fault: Fault) -> str:
    """A fault in short: `book_shipment.action.lost_reply.always`."""
    what = f"{fault.step}.{fault.phase}.{fault.kind}"
    if fault.kind is FaultKind.LATE and fault.delay_ms:
        return f"{what}.overtaken"
    if fault.kind is FaultKind.CRASH_WORKER:
        return f"{what}.{fault.moment}"
    return f"{what}.{'once' if fault.times == 1 else fault.times}"
