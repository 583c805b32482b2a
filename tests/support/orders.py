"""Orders that everything is fine with, but for what a test changes."""

from typing import Any, cast

from contracts.orders import Order


def an_order(**changes: Any) -> dict[str, Any]:
    """The body of an order, as a customer would send it."""
    examples = cast(dict[str, Any], Order.model_config["json_schema_extra"])["examples"]
    return {**examples[0], **changes}


def parsed_order(**changes: Any) -> Order:
    return Order.model_validate(an_order(**changes))
