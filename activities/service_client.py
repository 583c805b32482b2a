"""The one way in which activities talk to services: a command in, a reply out, refusals told from failures.

Guarantees: only a 409 with a declared code (or ALREADY_COMPENSATED) becomes a refusal, which is not retried. Every
other answer, an unreadable one and a lost connection are failures: their effect is unknown, and they are retried.
"""

import asyncio
from collections.abc import Callable

import httpx
from pydantic import ValidationError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from contracts.base import Contract
from contracts.commands import command_path
from contracts.faults import FAULT_PLAN, FAULTS_HEADER, INJECTED_FAULT_HEADER, FaultKind
from contracts.wire import ALREADY_COMPENSATED, IDEMPOTENCY_KEY_HEADER, Call, Problem, Reply
from messaging.tls import trusted

# Servers close idle connections after 5 s; ours go first, or a request could meet a connection that is just closing.
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=3.0)


class ServiceClient:
    """Sends commands to one service. Safe to share between tasks; close it with `close()`."""

    def __init__(self, service: str, base_url: str, *, on_crash: Callable[[], object] | None = None) -> None:
        """`on_crash` is called where a service says that this process is to die; by default that means nothing."""
        self._service = service
        self._on_crash = on_crash
        self._http = httpx.AsyncClient(base_url=base_url, verify=trusted(), limits=_LIMITS, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def send(self, command: Contract, call: Call) -> Reply:
        """One attempt. Sending the same command with the same key again is one effect.

        Raises:
            ApplicationError: non-retryable with the refusal's code as its type, or retryable for a failure.
        """
        headers = {IDEMPOTENCY_KEY_HEADER: call.key, "Content-Type": "application/json"}
        if call.faults:
            headers[FAULTS_HEADER] = FAULT_PLAN.dump_json(call.faults, exclude_none=True).decode()
        injected: str | None = None
        try:
            # As a stream: the head tells of an injected fault, even if the body never comes.
            async with (
                asyncio.timeout(call.timeout_s),
                self._http.stream(
                    "POST",
                    command_path(type(command)),
                    # A service that is one release behind does not know the newest fields.
                    content=command.model_dump_json(exclude_defaults=True),
                    headers=headers,
                    timeout=call.timeout_s,
                ) as response,
            ):
                injected = response.headers.get(INJECTED_FAULT_HEADER)
                if injected == FaultKind.CRASH_WORKER and self._on_crash:
                    self._on_crash()
                await response.aread()
        except httpx.ConnectError:
            raise self._failure("SERVICE_UNREACHABLE", "cannot be reached") from None
        except (TimeoutError, httpx.TimeoutException):
            raise self._failure("NO_REPLY", f"did not reply within {call.timeout_s:g} s", injected) from None
        except httpx.TransportError as error:
            what = f"closed the connection ({type(error).__name__})"
            raise self._failure("CONNECTION_LOST", what, injected) from None
        return self._reply(response, call, injected)

    def _reply(self, response: httpx.Response, call: Call, injected: str | None) -> Reply:
        try:
            if response.status_code == httpx.codes.OK:
                reply = Reply.model_validate_json(response.content)
                return reply.model_copy(update={"injected": injected}) if injected else reply
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            message = f"sent an unreadable answer with status {response.status_code}"
            raise self._failure("UNREADABLE_REPLY", message, injected) from None
        if response.status_code == httpx.codes.CONFLICT and problem.code in (*call.refusals, ALREADY_COMPENSATED):
            raise ApplicationError(
                problem.detail, type=problem.code, non_retryable=True, category=ApplicationErrorCategory.BENIGN
            )
        raise self._failure(problem.code, f"answered {response.status_code}: {problem.detail}")

    def _failure(self, code: str, what: str, injected: str | None = None) -> ApplicationError:
        why = f", as the injected fault {injected} has it" if injected else ""
        return ApplicationError(f"{self._service} {what}{why}", type=code)
