"""Column types that mean the same on SQLite and on PostgreSQL, so that a table is declared once."""

from datetime import UTC, datetime
from enum import Enum as PythonEnum

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, String
from sqlalchemy.types import TypeDecorator

BigInt = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite's integers always have them, and only one that is called INTEGER can be a growing primary key."""

Ordered = String().with_variant(String(collation="C"), "postgresql")
"""Text that is sorted or compared: by code point, as SQLite does, whatever language the PostgreSQL server speaks."""


def one_of(enum: type[PythonEnum]) -> Enum:
    """Text that names a member. PostgreSQL's own enums could not lose a member, nor gain one in a transaction."""
    return Enum(enum, native_enum=False)


class UtcTime(TypeDecorator[datetime]):
    """A moment. SQLite forgets time zones, so it is always stored as UTC; it is aware again, and UTC, when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
