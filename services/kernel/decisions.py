"""What a handler makes of a command: an outcome, a refusal, or a question to the outside world first.

An action whose outcome takes longer than anybody should wait for is `accepted`; whoever learns of the outcome then
concludes it (services/kernel/executor.py).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from contracts.wire import Outcome
from services.kernel.refusal import Refusal
from services.kernel.unit_of_work import UnitOfWork

Conclusion = Callable[[UnitOfWork], Outcome | Refusal]


@dataclass(frozen=True, slots=True)
class Outward:
    """The command needs an answer from outside. Nothing may be locked while waiting for it.

    `ask` must be idempotent: after a crash in between, the next request with the same key asks again. It returns
    what to do with the answer, in a second database transaction.
    """

    ask: Callable[[], Awaitable[Conclusion]]


Handling = Outcome | Refusal | Outward
