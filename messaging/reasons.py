"""Why something could not be read or taken, in one line that quotes nothing of what was sent: it may be personal."""

from pydantic import ValidationError

_LONGEST = 500


def reason_of(error: Exception) -> str:
    """The error in one line. Of malformed content: how many errors, and where and which the first one is."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "its root"
        return f"not a {error.title}: {error.error_count()} errors, the first at {place} ({first['type']})"
    line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {line}"[:_LONGEST]
