"""A database that is locked, full or not there says nothing about an event: it is to be tried again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from messaging.port import NotNow
from services.kernel.database import Database
from services.kernel.errors import TryLater

T = TypeVar("T")


async def read_or_not_now(database: Database, act: Callable[[Session], T]) -> T:
    """Raises: NotNow, where the database does not answer."""
    with _not_now_if_busy():
        return await database.read(act)


async def write_or_not_now(database: Database, act: Callable[[Session], T]) -> T:
    """Raises: NotNow, where the database does not answer."""
    with _not_now_if_busy():
        return await database.write(act)


@contextmanager
def _not_now_if_busy() -> Iterator[None]:
    try:
        yield
    except (TryLater, OperationalError) as error:
        raise NotNow(f"the consumer's database does not answer ({type(error).__name__})") from error
