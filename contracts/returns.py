"""The return of an order as somebody asks for it: the body of `POST /orders/{id}/return`."""

from pydantic import ConfigDict

from contracts.options import SagaOptions


class Return(SagaOptions):
    """The whole order comes back, so there is nothing to say about it but options; an empty body has none."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"faults": [{"step": "refund_payment", "kind": "lost_reply"}]}]}
    )
