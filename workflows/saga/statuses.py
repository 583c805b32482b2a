"""The one place that knows which status of a saga may follow which."""

from enum import StrEnum

from contracts.sagas import SagaStatus


class IllegalTransition(Exception):
    """The kernel tried what no saga may do: a bug. The workflow is suspended by it, and compensates nothing."""


class Happening(StrEnum):
    """What moves a saga from status to status."""

    GO_FORWARD = "go forward"
    UNWIND = "unwind"
    STALL = "stall"
    COMPLETE = "complete"
    COMPENSATE = "compensate"
    FORCE = "force"
    TERMINATE = "terminate"


_ENDED_FROM_OUTSIDE = {Happening.TERMINATE: SagaStatus.TERMINATED}

_LEGAL: dict[SagaStatus, dict[Happening, SagaStatus]] = {
    SagaStatus.RUNNING: {
        Happening.UNWIND: SagaStatus.UNWINDING,
        Happening.STALL: SagaStatus.STUCK,
        Happening.COMPLETE: SagaStatus.COMPLETED,
        Happening.FORCE: SagaStatus.FORCED,
        **_ENDED_FROM_OUTSIDE,
    },
    SagaStatus.UNWINDING: {
        # The fence answered that the pivot has already happened.
        Happening.GO_FORWARD: SagaStatus.RUNNING,
        Happening.STALL: SagaStatus.STUCK,
        Happening.COMPENSATE: SagaStatus.COMPENSATED,
        Happening.FORCE: SagaStatus.FORCED,
        **_ENDED_FROM_OUTSIDE,
    },
    SagaStatus.STUCK: {
        Happening.GO_FORWARD: SagaStatus.RUNNING,
        Happening.UNWIND: SagaStatus.UNWINDING,
        Happening.STALL: SagaStatus.STUCK,
        **_ENDED_FROM_OUTSIDE,
    },
}


def next_status(status: SagaStatus, happening: Happening) -> SagaStatus:
    """The status after the happening.

    Raises:
        IllegalTransition: nothing of the kind may happen to a saga in that status.
    """
    try:
        return _LEGAL[status][happening]
    except KeyError:
        raise IllegalTransition(f"a {status} saga cannot {happening}") from None
