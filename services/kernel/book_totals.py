"""Sums of two books that are to be compared without sending either: by the first characters of the orders' ids.

Whoever compares asks both for the sums of all ids, split by their next two characters, and goes on only where they
differ. Ids are spread evenly, so each step leaves a 256th part, and three differing orders among a million are found
with a handful of questions (api/audit/books.py).
"""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query
from pydantic import StringConstraints
from sqlalchemy import ColumnElement, FromClause, Select, func, select
from sqlmodel import Session

from contracts.audits import BookEntry, BookTotal

SPLIT = 2
"""How many characters further each step looks."""
MAX_ENTRIES = 1000
_LAST, _DIGITS = 36, 4
"""A UUID's length, and how many of its last characters go into a fingerprint."""

Prefix = Annotated[
    str,
    StringConstraints(max_length=8, pattern=r"^[^\x00]*$"),
    Query(description="The first characters of the orders' ids."),
]


def totals(session: Session, books: FromClause, prefix: str) -> list[BookTotal]:
    """The sums of the orders whose ids begin so, by their next characters.

    Args:
        books: with the columns order_id, state, currency and amount_minor.
    """
    order_id, amount = books.c.order_id, books.c.amount_minor
    part = func.substr(order_id, 1, len(prefix) + SPLIT)
    summed = (
        select(
            part,
            books.c.state,
            books.c.currency,
            func.count(),
            func.sum(amount),
            func.sum(_fingerprint(session, order_id)),
        )
        .select_from(books)
        .where(amount > 0, *_beginning(order_id, prefix))
        .group_by(part, books.c.state, books.c.currency)
        .order_by(part, books.c.state, books.c.currency)
    )
    return [
        BookTotal(
            prefix=found, state=state, currency=currency, count=count, amount_minor=int(total), fingerprint=int(printed)
        )
        for found, state, currency, count, total, printed in session.execute(summed)
    ]


def entries(session: Session, books: FromClause, prefix: str, limit: int) -> list[BookEntry]:
    """The orders whose ids begin so, one entry for each hold, at most `limit` of them."""
    listed: Select[*tuple[Any, ...]] = (
        select(books.c.order_id, books.c.key, books.c.state, books.c.currency, books.c.amount_minor)
        .where(books.c.amount_minor > 0, *_beginning(books.c.order_id, prefix))
        .order_by(books.c.order_id, books.c.state, books.c.key)
        .limit(limit)
    )
    return [
        BookEntry(order_id=order_id, key=key, state=state, currency=currency, amount_minor=amount)
        for order_id, key, state, currency, amount in session.execute(listed)
    ]


def _beginning(order_id: ColumnElement[str], prefix: str) -> Iterable[ColumnElement[bool]]:
    if prefix:
        yield func.substr(order_id, 1, len(prefix)) == prefix


def _fingerprint(session: Session, order_id: ColumnElement[str]) -> ColumnElement[int]:
    """A number made of the id's last characters. Summed up, it tells which orders are in a sum, not only how many."""
    code_of = func.ascii if session.get_bind().dialect.name == "postgresql" else func.unicode
    codes = (func.coalesce(code_of(func.substr(order_id, _LAST - n, 1)), 0) * 128**n for n in range(_DIGITS))
    printed: ColumnElement[int] = sum(codes, start=func.coalesce(0, 0))
    return printed
