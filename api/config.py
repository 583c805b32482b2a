"""What the API must be told. It never reads the environment itself."""

from typing import Annotated

from pydantic import Field

from contracts.base import Contract
from contracts.policy import Policy
from workflows.names import NAMESPACE, TASK_QUEUE

PositiveSeconds = Annotated[float, Field(gt=0, le=3600)]
PageSize = Annotated[int, Field(ge=1, le=1000)]
"""The query side has no larger pages."""


class ApiSettings(Contract):
    """Where everything is, and the limits of what the API accepts."""

    temporal_address: str
    namespace: str = NAMESPACE
    task_queue: str = TASK_QUEUE
    temporal_ui_url: str
    """The Web UI's base, for links to it."""
    order_url: str
    payment_url: str
    shipping_url: str
    views_url: str
    """Of the query side, which answers for all services together."""
    policy: Policy = Policy()
    """Of new sagas; an order may bring its own deadline."""
    fault_injection: bool = False
    max_body_bytes: Annotated[int, Field(ge=1024)] = 262_144
    max_wait_s: Annotated[int, Field(ge=0, le=3600)] = 60
    """The longest that `Prefer: wait` may hold a request."""
    temporal_timeout_s: PositiveSeconds = 4.0
    """How long one request waits for Temporal before it answers 503."""
    decision_timeout_s: PositiveSeconds = 5.0
    """How long an operator's request waits for a worker to take the decision."""
    service_timeout_s: PositiveSeconds = 3.0
    """How long a reading request waits for a service."""
    known_order_timeout_s: PositiveSeconds = 0.5
    """How long a new order waits for the order service to say that it knows the key from long ago."""
    retry_after_s: Annotated[int, Field(ge=1)] = 2
    """What `Retry-After` tells callers when something is unreachable."""
    audit_timeout_s: PositiveSeconds = 10.0
    """How long an audit of everything waits for each part's answer: whoever is asked may have a lot to add up."""
    audit_max_orders: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Of how many open orders one audit asks Temporal whether their sagas have ended. Beyond that it does not judge."""
    audit_max_book_questions: Annotated[int, Field(ge=1, le=10_000)] = 64
    """How often one audit asks for sums, while it looks for what the gateway's books tell differently."""
    default_page: PageSize = 100
    max_page: PageSize = 1000
