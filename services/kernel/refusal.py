"""A business "no", as domains say it. Without a framework, so that they may import it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """It is a reply, not an error: it is never retried."""

    code: str
    message: str
