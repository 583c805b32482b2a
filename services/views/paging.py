"""The token that tells where a page of the orders ended, so that the next one begins there.

It names the last order by what the list is sorted by, not by a number: orders that arrive meanwhile move nothing.
"""

import json
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.kernel.errors import MalformedRequest


@dataclass(frozen=True, slots=True)
class Place:
    """Of an order in the list."""

    placed_at: datetime
    order_id: str


def token_of(place: Place) -> str:
    """Opaque, and safe in a URL."""
    return urlsafe_b64encode(json.dumps([place.placed_at.isoformat(), place.order_id]).encode()).decode()


def place_of(token: str) -> Place:
    """Raises `MalformedRequest` for what is no token of ours."""
    try:
        placed_at, order_id = json.loads(b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        return Place(utc(datetime.fromisoformat(placed_at), "after"), str(UUID(order_id)))
    except (NotBase64, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _malformed("after", "expected the `next` of a page") from error


def utc(moment: datetime, parameter: str) -> datetime:
    """The moment in UTC.

    Raises:
        MalformedRequest: it has no time zone, or lies outside the calendar.
    """
    if moment.utcoffset() is None:
        raise _malformed(parameter, f"expected a timestamp with a time zone, got {moment.isoformat()}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise _malformed(parameter, "expected a timestamp of the years 1 to 9999 in UTC") from error


def _malformed(parameter: str, expectation: str) -> MalformedRequest:
    return MalformedRequest(
        f"{parameter}: {expectation}", [{"type": "value_error", "loc": ["query", parameter], "msg": expectation}]
    )
