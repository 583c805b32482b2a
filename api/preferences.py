"""The `Prefer` header of RFC 7240, as far as it means something here: `wait=N`."""

import re
from collections.abc import Iterable

_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)


def preferred_wait_s(headers: Iterable[str], max_wait_s: int) -> int | None:
    """How long the caller would wait, at most `max_wait_s`; None where nothing (sensible) is said.

    As the RFC asks, the first `wait` counts, and whatever is not understood is ignored.
    """
    for header in headers:
        for preference in header.split(","):
            match = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if match:
                return min(int(match[1]), max_wait_s)
    return None
