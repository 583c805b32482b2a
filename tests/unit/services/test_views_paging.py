from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import MalformedRequest
from services.views.paging import Place, place_of, token_of, utc


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_token_when_read_again_then_it_names_the_same_place(placed_at: datetime) -> None:
    place = Place(placed_at, str(uuid4()))

    assert place_of(token_of(place)) == place


def test_token_when_written_then_it_is_safe_in_a_url_and_within_its_limit() -> None:
    token = token_of(Place(datetime.now(UTC), str(uuid4())))

    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert len(token) <= 200


@settings(deadline=None)
@given(st.one_of(st.text(), st.binary().map(lambda data: urlsafe_b64encode(data).decode())))
def test_token_when_it_is_none_of_ours_then_it_is_malformed(token: str) -> None:
    with pytest.raises(MalformedRequest):
        place_of(token)


@pytest.mark.parametrize(
    "content",
    [
        '["2026-01-01T00:00:00", "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"]',
        '["0001-01-01T00:00:00+14:00", "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"]',
        '["2026-01-01T00:00:00+00:00", "x"]',
        '["2026-01-01T00:00:00+00:00"]',
        "[1, 2]",
        "7",
        "[" * 100,
    ],
)
def test_token_when_its_content_is_not_a_place_then_it_is_malformed(content: str) -> None:
    with pytest.raises(MalformedRequest):
        place_of(urlsafe_b64encode(content.encode()).decode())


def test_utc_when_a_moment_has_no_time_zone_then_it_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        utc(datetime(2026, 1, 1), "from")
