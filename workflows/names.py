"""The names under which sagas are found in Temporal."""

from temporalio.common import SearchAttributeKey

NAMESPACE = "amends"
TASK_QUEUE = "sagas"
ORDER_SAGA = "OrderSaga"
RETURN_SAGA = "ReturnSaga"

SAGA_STATUS = SearchAttributeKey.for_keyword("SagaStatus")
SAGA_CAUSE = SearchAttributeKey.for_keyword("SagaCause")
FAILED_STEP = SearchAttributeKey.for_keyword("FailedStep")
FAILURE_CODE = SearchAttributeKey.for_keyword("FailureCode")
CUSTOMER_ID = SearchAttributeKey.for_keyword("CustomerId")

SEARCH_ATTRIBUTES = (SAGA_STATUS, SAGA_CAUSE, FAILED_STEP, FAILURE_CODE, CUSTOMER_ID)
"""All that a namespace must know before the first saga starts there."""

DECIDE = "decide"
"""The update by which an operator's decision reaches a stuck saga."""
STEP_OUTCOME = "step_outcome"
"""The signal by which an event that a saga waits for reaches it."""
SAGA_COMPENSATED = "SagaCompensated"
"""The failure type of a saga that ended compensated (by any cause but a cancellation)."""
SAGA_FORCED = "SagaForced"
"""The failure type of a saga that ended with a residue, listed in the failure's details."""
REQUEST_DIGEST = "request_digest"
"""The memo that tells whether a second POST with the same key brings the same order."""


def saga_id_of(order_id: object) -> str:
    """The saga of an order, which is its workflow id."""
    return f"order-{order_id}"


RETURN_PREFIX = "return-"


def return_saga_id_of(return_id: object) -> str:
    """The saga of a return, which is its workflow id."""
    return f"{RETURN_PREFIX}{return_id}"
