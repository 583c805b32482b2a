"""The one way in which activities talk to services: a command in, a reply out, refusals told from failures.

Guarantees: only a 409 with a declared code (or ALREADY_COMPENSATED) becomes a refusal, which is not retried. Every
other answer, an unreadable one and a lost connection are failures: their effect is unknown, and they are retried.
"""

import httpx
from pydantic import ValidationError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from contracts.base import Contract
from contracts.commands import command_path
from contracts.faults import FAULT_PLAN, FAULTS_HEADER
from contracts.wire import ALREADY_COMPENSATED, IDEMPOTENCY_KEY_HEADER, Call, Problem, Reply
from messaging.tls import trusted

# Servers close idle connections after 5 s; ours go first, or a request could meet a connection that is just closing.
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=3.0)


class ServiceClient:
    """Sends commands to one service. Safe to share between tasks; close it with `close()`."""

    def __init__(self, service: str, base_url: str) -> None:
        self._service = service
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
        try:
            response = await self._http.post(
                command_path(type(command)),
                # A service that is one release behind does not know the newest fields.
                content=command.model_dump_json(exclude_defaults=True),
                headers=headers,
                timeout=call.timeout_s,
            )
        except httpx.ConnectError:
            raise self._failure("SERVICE_UNREACHABLE", "cannot be reached") from None
        except httpx.TimeoutException:
            raise self._failure("NO_REPLY", f"did not reply within {call.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise self._failure("CONNECTION_LOST", f"closed the connection ({type(error).__name__})") from None
        return self._reply(response, call)

    def _reply(self, response: httpx.Response, call: Call) -> Reply:
        try:
            if response.status_code == httpx.codes.OK:
                return Reply.model_validate_json(response.content)
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            message = f"sent an unreadable answer with status {response.status_code}"
            raise self._failure("UNREADABLE_REPLY", message) from None
        if response.status_code == httpx.codes.CONFLICT and problem.code in (*call.refusals, ALREADY_COMPENSATED):
            raise ApplicationError(
                problem.detail, type=problem.code, non_retryable=True, category=ApplicationErrorCategory.BENIGN
            )
        raise self._failure(problem.code, f"answered {response.status_code}: {problem.detail}")

    def _failure(self, code: str, what: str) -> ApplicationError:
        return ApplicationError(f"{self._service} {what}", type=code)
