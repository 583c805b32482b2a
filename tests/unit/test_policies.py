"""The limits of a policy, and how it says so."""

import pytest
from pydantic import ValidationError

from contracts.policy import Policy


def test_fast_timeout_when_beyond_a_workflow_task_then_told_the_limit() -> None:
    assert Policy(fast_timeout_s=2.4).fast_timeout_s == 2.4

    with pytest.raises(ValidationError, match=r"fast_timeout_s: at most 2\.4 s, see TASK_TIMEOUT"):
        Policy(fast_timeout_s=2.5)


def test_retries_when_the_cap_is_below_the_first_then_told() -> None:
    with pytest.raises(ValidationError, match="retry_max_s: must not be below retry_initial_s"):
        Policy(retry_initial_s=2, retry_max_s=1)
