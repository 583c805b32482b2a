"""A database that is locked, full or not there says nothing about an event: it is to be tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from messaging.port import NotNow
from services.kernel.errors import TryLater


@contextmanager
def not_now_if_busy() -> Iterator[None]:
    """Raises: NotNow, where the database does not answer."""
    try:
        yield
    except (TryLater, OperationalError) as error:
        raise NotNow(f"the consumer's database does not answer ({type(error).__name__})") from error
