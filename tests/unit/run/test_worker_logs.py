import logging

import pytest
from temporalio.exceptions import ApplicationError

from run.worker_process import OneLinePerFailedAttempt


@pytest.mark.parametrize(
    ("error", "traced"),
    [(ApplicationError("payment answered 503", type="UNAVAILABLE"), False), (KeyError("a bug"), True)],
)
def test_failed_attempt_when_logged_then_only_a_bug_has_a_traceback(error: Exception, traced: bool) -> None:
    record = logging.LogRecord("temporalio.activity", logging.WARNING, "", 0, "failed (%s)", ("x",), None)
    record.exc_info = (type(error), error, None)

    OneLinePerFailedAttempt().filter(record)

    assert (record.exc_info is not None) is traced
    assert record.getMessage().startswith("failed (x)")
