"""How one operation is attempted: first fast, as a local activity; then durably, as a regular one.

Guarantees:
- A local activity costs one history event and no task hop, but is recorded only when its workflow task completes. It
  is made once, with a short time-out; whatever goes wrong with it, the operation goes on as a regular activity, whose
  attempts, last failure and next retry are visible in the Web UI and survive any crash.
- A declared refusal is told from a failure here and nowhere else. Anything that is not a refusal leaves the effect
  unknown.
- An interrupted activity is settled before it is reported: retries stop at once, an attempt on the wire is awaited.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    FailureError,
    RetryState,
    TimeoutError,  # noqa: A004 - Temporal's, which carries what the built-in one does not
    TimeoutType,
)
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from contracts.base import Contract
from contracts.faults import Fault
from contracts.policy import Policy
from contracts.wire import ALREADY_COMPENSATED, Call, Outcome, Reply
from workflows.policies import retries
from workflows.saga.definition import Operation

TIMED_OUT = "TIMEOUT"
"""The failure code of an attempt without an outcome in time."""
_ANSWER_SHARE = 0.9
"""Of an attempt's time, how much the service gets to answer: the rest is for the failure to come back and be told."""


@dataclass(frozen=True, slots=True)
class Done:
    """The service replied. Where the reply is `accepted`, the outcome is still to come."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The last failure of attempts that ran out. The effect is unknown."""

    code: str
    message: str
    out_of_time: bool = False
    """Whether retries were cut short because no time was left."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Attempts were stopped from outside. The effect is unknown."""


Settled = Done | Refused | Failed | Interrupted


class Attempts:
    """All attempts of one operation for one saga, with a handle by which they can be interrupted.

    `faults` is asked before each attempt: an operator may have ended them meanwhile.
    """

    def __init__(
        self,
        operation: Operation,
        command: Contract,
        *,
        key: str,
        policy: Policy,
        faults: Callable[[], tuple[Fault, ...]],
        yields_to_cancel: bool,
        may_be_accepted: bool,
    ) -> None:
        self.yields_to_cancel = yields_to_cancel
        self._operation = operation
        self._command = command
        self._key = key
        self._policy = policy
        self._faults = faults
        self._may_be_accepted = may_be_accepted
        self._handle: ActivityHandle[Reply] | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Stops a running durable attempt. A fast one is short, and is let finish."""
        if self._handle is not None and not self._interrupted:
            self._interrupted = True
            self._handle.cancel()

    async def fast(self, within: timedelta | None = None) -> Done | Refused | Failed:
        """One attempt as a local activity, within the policy's fast time-out and the time given, if any."""
        time = timedelta(seconds=self._policy.fast_timeout_s)
        cut_short = within is not None and within <= time
        time = within if within is not None and cut_short else time
        try:
            reply = await workflow.execute_local_activity(
                self._operation.name,
                args=[self._command, self._call(time)],
                result_type=Reply,
                schedule_to_close_timeout=time,
                start_to_close_timeout=time,
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary=self._operation.summary or None,
            )
        except FailureError as error:
            settled = self._judge(error)
            if isinstance(settled, Interrupted):
                # Nothing interrupts a fast attempt, so a cancellation can only come from the worker shutting down.
                return Failed("INTERRUPTED", "the worker stopped")
            if isinstance(settled, Failed):
                # Both time-outs of a local activity are the same time, and either may be told.
                return replace(settled, out_of_time=cut_short and settled.code == TIMED_OUT)
            return settled
        return self._take(reply)

    async def durable(self, attempts: int, within: timedelta | None = None) -> Settled:
        """Up to so many attempts as a regular activity (0: without limit), within the time given, if any."""
        time = timedelta(seconds=self._policy.attempt_timeout_s)
        time = time if within is None else min(time, within)
        self._interrupted = False
        self._handle = workflow.start_activity(
            self._operation.name,
            args=[self._command, self._call(time)],
            activity_id=self._operation.name,
            result_type=Reply,
            start_to_close_timeout=time,
            schedule_to_close_timeout=within,
            retry_policy=retries(self._policy, attempts),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self._operation.summary or None,
        )
        try:
            return self._take(await self._handle)
        except FailureError as error:
            return self._judge(error)
        except asyncio.CancelledError:
            # Interrupted before it was scheduled at all; any other cancellation is the workflow's eviction.
            if not self._interrupted:
                raise
            return Interrupted()
        finally:
            self._handle = None

    def _take(self, reply: Reply) -> Done | Failed:
        if reply.outcome is Outcome.ACCEPTED and not self._may_be_accepted:
            return Failed("ACCEPTED_ONLY", "the service accepted what has to be done at once")
        return Done(reply)

    def _call(self, time: timedelta) -> Call:
        return Call(
            key=self._key,
            timeout_s=time.total_seconds() * _ANSWER_SHARE,
            refusals=self._operation.refusals,
            faults=self._faults(),
        )

    def _judge(self, error: FailureError) -> Refused | Failed | Interrupted:
        # A failing local activity surfaces as its own error, or as an ActivityError when it timed out; a failing
        # regular one always as an ActivityError.
        cause = error.cause if isinstance(error, ActivityError) and isinstance(error.cause, FailureError) else error
        if isinstance(cause, ApplicationError) and self._is_refusal(cause):
            return Refused(cause.type or "", cause.message)
        if self._interrupted or isinstance(cause, CancelledError):
            return Interrupted()
        out_of_time = isinstance(error, ActivityError) and error.retry_state == RetryState.TIMEOUT
        if isinstance(cause, TimeoutError):
            out_of_time = out_of_time or cause.type == TimeoutType.SCHEDULE_TO_CLOSE
            return Failed(TIMED_OUT, "no outcome in time; its effect is unknown", out_of_time)
        code = cause.type if isinstance(cause, ApplicationError) and cause.type else type(cause).__name__
        return Failed(code, cause.message, out_of_time)

    def _is_refusal(self, error: ApplicationError) -> bool:
        return error.non_retryable and error.type in (*self._operation.refusals, ALREADY_COMPENSATED)
