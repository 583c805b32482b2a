"""The kinds of sagas that the API serves, and how a path names one of them. Each kind has the same endpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request

from api.audit.invariants_at_the_end import ORDER_PROMISE
from api.audit.invariants_of_a_return import RETURN_PROMISE
from api.audit.promises import Promise
from api.order_sagas import OrderSagas
from api.return_sagas import ReturnSagas
from api.sagas import Sagas
from api.web.problem_codes import documented
from api.web.problems import not_found
from api.web.requests import UUID_PATTERN
from contracts.options import SagaOptions
from contracts.orders import Order
from contracts.returns import Return


@dataclass(frozen=True, slots=True)
class Addressed:
    """The saga that a request is about, which there may be or not."""

    sagas: Sagas
    id: UUID


@dataclass(frozen=True, slots=True)
class Kind:
    sagas: type[Sagas]
    request: type[SagaOptions]
    """What starts one."""
    promise: Promise
    """What its audit holds it to at its end."""

    @property
    def noun(self) -> str:
        return self.sagas.noun

    @property
    def path(self) -> str:
        return f"/{self.noun}s/{{{self.noun}_id}}"

    @property
    def tags(self) -> list[Any]:
        return [f"{self.noun}s"]

    def documented(self, *codes: str) -> dict[int | str, dict[str, Any]]:
        """The error responses of an endpoint about one saga of this kind."""
        return documented(f"{self.noun.upper()}_NOT_FOUND", *codes)

    def named(self) -> Callable[..., Addressed]:
        """The dependency that finds out which saga the path names."""
        noun, example = self.noun, "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"
        described = f"The {noun}'s id, a UUID"

        def saga_named(
            request: Request, id_: Annotated[str, Path(alias=f"{noun}_id", description=described, examples=[example])]
        ) -> Addressed:
            if not UUID_PATTERN.fullmatch(id_):
                raise not_found(noun, None)
            return Addressed(request.app.state.sagas[noun], UUID(id_))

        return saga_named


KINDS = (Kind(OrderSagas, Order, ORDER_PROMISE), Kind(ReturnSagas, Return, RETURN_PROMISE))


def for_each_kind(routes_of: Callable[[Kind], APIRouter]) -> APIRouter:
    """The same routes for sagas of every kind."""
    router = APIRouter()
    for kind in KINDS:
        router.include_router(routes_of(kind))
    return router
