"""The base of everything that crosses a process boundary, and the small types that recur in it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_AMOUNT_MINOR = 2**63 - 1
"""Amounts are stored in signed 64-bit columns; nothing above is accepted anywhere."""

Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A name, an id or one line of an address: printable, at most 200 characters."""

Sku = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sought = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""What somebody looks up. PostgreSQL cannot even be asked for a NUL character; SQLite never finds one of ours."""

Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
AmountMinor = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT_MINOR)]


class Contract(BaseModel):
    """A frozen message. Unknown fields are refused, so that a typing error never passes silently.

    What stands below a field in the code is its description in schemas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
