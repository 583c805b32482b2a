"""Why a service does not answer a request as asked, each with the HTTP status and code it is told with.

ServiceError
├── MalformedRequest   422  what was sent is not what the contract says
├── KeyReused          422  the idempotency key came before, with another body
├── NotFound           404
├── CommandRefused     409  the business says no, or the barrier does
├── Conflict           409  it is not as the request supposes
├── LogReplaced        409  the reader of the event feed followed another log, or a later state of this one
└── TryLater           503  nothing is wrong with the request, its time is; carries Retry-After
    ├── TransactionClash    the database gave the transaction up in favour of another one; retried inside first
    └── ConcurrencyError    a stream moved on meanwhile; retried inside first
"""

from typing import Any

from contracts.events import LOG_REPLACED
from contracts.wire import KEY_REUSED
from services.kernel.refusal import Refusal


class ServiceError(Exception):
    status = 500

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class MalformedRequest(ServiceError):
    status = 422

    def __init__(self, detail: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__("MALFORMED_REQUEST", detail)
        self.errors = errors or []


class KeyReused(ServiceError):
    status = 422

    def __init__(self, key: str) -> None:
        super().__init__(KEY_REUSED, f"the key {key!r} was used before, with another body")


class NotFound(ServiceError):
    status = 404


class CommandRefused(ServiceError):
    status = 409

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code, refusal.message)


class Conflict(ServiceError):
    status = 409


class LogReplaced(ServiceError):
    status = 409

    def __init__(self, detail: str) -> None:
        super().__init__(LOG_REPLACED, detail)


class TryLater(ServiceError):
    status = 503

    def __init__(self, code: str, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(code, detail)
        self.retry_after_s = retry_after_s


class TransactionClash(TryLater):
    pass


class ConcurrencyError(TryLater):
    def __init__(self, stream: str, expected_version: int) -> None:
        super().__init__("CONCURRENT_CHANGE", f"stream {stream}: expected version {expected_version}, it has moved on")
