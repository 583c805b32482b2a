"""Takes commands over HTTP: `POST /commands/<name>`, the idempotency key in a header, the command as JSON."""

import time
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Header, Request
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError
from starlette.responses import Response

from contracts.base import Contract
from contracts.commands import command_path
from contracts.faults import FAULTS_HEADER
from contracts.wire import IDEMPOTENCY_KEY_HEADER, Reply
from services.kernel import problems
from services.kernel.enacting import enact
from services.kernel.errors import CommandRefused, MalformedRequest, ServiceError
from services.kernel.executor import Executor
from services.kernel.faults import FaultInjector, injected_refusal
from services.kernel.operations import AnyOperation, Operation
from services.kernel.refusal import Refusal

C = TypeVar("C", bound=Contract)

Key = Annotated[str, Header(alias=IDEMPOTENCY_KEY_HEADER, min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")]
FaultPlan = Annotated[str | None, Header(alias=FAULTS_HEADER)]


class CommandRoutes:
    """One route for each operation of a service."""

    def __init__(self, service: str, executor: Executor, faults: FaultInjector, registry: CollectorRegistry) -> None:
        self._executor = executor
        self._faults = faults
        self._answered = Counter(
            "amends_commands", "Commands by what was answered", ["command", "outcome"], registry=registry
        )
        self._log = structlog.get_logger().bind(service=service)

    def router(self, operations: tuple[AnyOperation, ...]) -> APIRouter:
        router = APIRouter(tags=["commands"])
        for operation in operations:
            self._add(router, operation)
        return router

    def _add(self, router: APIRouter, operation: AnyOperation) -> None:
        async def take(request: Request, key: Key, fault_plan: FaultPlan = None) -> Response:
            if len(request.headers.getlist(IDEMPOTENCY_KEY_HEADER)) > 1:
                raise MalformedRequest(f"there must be one {IDEMPOTENCY_KEY_HEADER} header")
            return await self._take(operation, await request.body(), key, fault_plan)

        schema = {"$ref": f"#/components/schemas/{operation.name}"}
        router.post(
            command_path(operation.command),
            name=operation.name,
            summary=operation.name,
            description=operation.command.__doc__ or "",
            response_model=Reply,
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
        )(take)

    async def _take(self, operation: Operation[C], body: bytes, key: str, fault_plan: str | None) -> Response:
        command = _parse(operation, body)
        fault = await self._faults.draw(fault_plan, operation, key)
        if fault is None:
            return await self._execute(operation, command, key, None)
        self._log.info("fault", command=operation.name, key=key, kind=fault.kind.value)
        refusal = injected_refusal(fault, operation)
        return await enact(fault, lambda: self._execute(operation, command, key, refusal))

    async def _execute(self, operation: Operation[C], command: C, key: str, refuse_with: Refusal | None) -> Response:
        started = time.perf_counter()
        outcome = "failed"
        try:
            answer = await self._executor.execute(operation, command, key=key, refuse_with=refuse_with)
            outcome = answer.code if isinstance(answer, Refusal) else answer.outcome
        except ServiceError as error:
            outcome = error.code
            raise
        finally:
            self._answered.labels(operation.name, outcome).inc()
            self._log.info(
                "command",
                command=operation.name,
                stream=operation.stream_of(command),
                saga_id=getattr(command, "saga_id", None),
                outcome=outcome,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )
        if isinstance(answer, Refusal):
            return problems.of(CommandRefused(answer))
        return Response(answer.model_dump_json(), media_type="application/json")


def _parse(operation: Operation[C], body: bytes) -> C:
    try:
        return operation.command.model_validate_json(body)
    except ValidationError as error:
        # Not what was sent: it may be personal, and it may be large.
        errors: list[dict[str, Any]] = [
            {"type": e["type"], "loc": e["loc"], "msg": e["msg"]}
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise MalformedRequest(f"the body is not a {operation.name} command", errors) from None
