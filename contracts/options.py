"""What may be given with any saga, beside what it is about: how long it may take, and (for testing) what goes wrong."""

from contracts.base import Contract
from contracts.faults import Faults
from contracts.policy import Deadline, Policy


class SagaOptions(Contract):
    faults: Faults = ()
    deadline_s: Deadline | None = None
    """How long the saga may take until its pivot, in seconds; the API's default where it is absent."""
    policy: Policy | None = None
    """For testing, as faults are: the saga's timeouts and retries, instead of those that the API is set to."""
