"""What a saga's policy means to Temporal."""

from datetime import timedelta

from temporalio.common import RetryPolicy

from contracts.policy import TASK_TIMEOUT_S, Policy

TASK_TIMEOUT = timedelta(seconds=TASK_TIMEOUT_S)


def retries(policy: Policy, attempts: int) -> RetryPolicy:
    """Capped exponential back-off; 0 attempts means without limit."""
    return RetryPolicy(
        initial_interval=timedelta(seconds=policy.retry_initial_s),
        maximum_interval=timedelta(seconds=policy.retry_max_s),
        maximum_attempts=attempts,
    )
