"""What may be asked of a running saga: to cancel, and an operator's decisions."""

from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from api.idempotency import key_reused, update_id_of
from api.sagas import ENDED, Sagas
from api.temporal import DecisionTurnedDown, NobodyAnswers, SagaOver
from api.view.facts import Decided, Fact
from api.web.kinds import Addressed, Kind, for_each_kind
from api.web.problems import ApiProblem, unavailable
from api.web.requests import KEY_HEADER, KEY_PARAMETER, documented_body, key_of, read_body
from contracts.sagas import CancelState, Cause, Decision, SagaView, StepState


def routes_of(kind: Kind) -> APIRouter:
    router = APIRouter(tags=kind.tags)

    @router.post(
        f"{kind.path}/cancel",
        status_code=HTTPStatus.ACCEPTED,
        responses=kind.documented("TOO_LATE", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
    )
    async def cancel_saga(one: Annotated[Addressed, Depends(kind.named())]) -> SagaView:
        """Ask for a saga to be cancelled. Asking again changes nothing.

        After the pivot it is too late, and so it is when the saga unwinds already, for another cause. The answer's
        `cancel` says how far it got. The last word is the pivot's: `requested` may still become `too_late`.
        """
        return await _cancel(one.sagas, one.id)

    @router.post(
        f"{kind.path}/decisions",
        status_code=HTTPStatus.ACCEPTED,
        responses={
            202: {"model": SagaView, "description": "The saga has taken the decision", "headers": KEY_HEADER},
            **kind.documented(
                "MALFORMED_JSON",
                "DECISION_NOT_POSSIBLE",
                "NOT_JSON",
                "MALFORMED",
                "KEY_REUSED",
                "UNKNOWN_STEP",
                "TEMPORAL_UNAVAILABLE",
                "SERVICE_UNAVAILABLE",
                "NO_WORKER",
            ),
        },
        openapi_extra={**documented_body(Decision), "parameters": [KEY_PARAMETER]},
    )
    async def decide(one: Annotated[Addressed, Depends(kind.named())], request: Request) -> SagaView:
        """Bring an operator's decision about a stuck step. Needs a worker, because the saga itself takes it."""
        decision = await read_body(request, Decision)
        return await _decide(one.sagas, one.id, decision, update_id_of(one.id, key_of(request)[0]))

    return router


async def _cancel(sagas: Sagas, id_: UUID) -> SagaView:
    view = await sagas.view(id_)
    if view.cancel is not CancelState.EFFECTIVE and not _is_too_late(sagas, view):
        # It may have ended in between; what it ended as is seen below.
        with suppress(SagaOver):
            await sagas.cancel(id_)
        view = await sagas.view(id_)
    if view.cancel is not CancelState.EFFECTIVE and _is_too_late(sagas, view):
        raise ApiProblem(HTTPStatus.CONFLICT, "TOO_LATE", _why_too_late(sagas, view))
    return view


async def _decide(sagas: Sagas, id_: UUID, decision: Decision, update_id: str) -> SagaView:
    if decision.step not in {step.name for step in sagas.definition.steps}:
        detail = f"step: the saga has no such step; see /sagas/{sagas.noun}"
        raise ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "UNKNOWN_STEP", detail)
    if _was_taken(sagas.facts_of(await sagas.snapshot(id_)), decision, update_id):
        return await sagas.view(id_)
    try:
        await sagas.decide(id_, decision, update_id)
    except SagaOver:
        raise _not_possible("the saga has ended, so there is nothing to decide") from None
    except DecisionTurnedDown as turned_down:
        raise _not_possible(str(turned_down)) from None
    except NobodyAnswers:
        raise unavailable(
            "NO_WORKER",
            "no worker took the decision in time; it may still be taken, so ask again with the same Idempotency-Key",
            sagas.settings.retry_after_s,
        ) from None
    return await sagas.view(id_)


def _was_taken(facts: Iterable[Fact], decision: Decision, update_id: str) -> bool:
    """Whether this decision was taken before under this key, which also a saga that has ended still knows."""
    for fact in facts:
        if isinstance(fact, Decided) and fact.update_id == update_id:
            if fact.decision.model_dump(exclude={"attempts_before"}) != decision.model_dump():
                raise key_reused("decision")
            return True
    return False


def _not_possible(detail: str) -> ApiProblem:
    return ApiProblem(HTTPStatus.CONFLICT, "DECISION_NOT_POSSIBLE", detail)


def _is_too_late(sagas: Sagas, view: SagaView) -> bool:
    pivot = sagas.definition.pivot
    happened = pivot is not None and any(
        step.name == pivot.name and step.state is StepState.SUCCEEDED for step in view.steps
    )
    turned = view.cause is not None or view.status in ENDED
    return (turned and view.cause is not Cause.CANCELLED) or happened


def _why_too_late(sagas: Sagas, view: SagaView) -> str:
    if view.status in ENDED:
        return f"the saga has ended {view.status}"
    if view.cause is not None and view.cause is not Cause.CANCELLED:
        return f"the saga has turned already, its cause is {view.cause}"
    pivot = sagas.definition.pivot
    return f"{pivot.name if pivot else 'its pivot'} has happened, so the saga only goes forward now"


router = for_each_kind(routes_of)
