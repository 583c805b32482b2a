"""How values and failures are written into histories."""

from dataclasses import replace

from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError


class _BriefFailureConverter(DefaultFailureConverter):
    """Leaves the stack trace out of failures that we raise on purpose.

    A declined card is no bug: the trace would only hide its message in the Web UI, make every history larger and show
    our file paths to whoever reads it. Everything else keeps its trace.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type:
            failure.stack_trace = ""


DATA_CONVERTER = replace(pydantic_data_converter, failure_converter_class=_BriefFailureConverter)
"""For every client and worker of Amends."""
