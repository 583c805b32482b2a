"""The first stock of each SKU, from a file that people edit.

Each SKU of the file is received once, ever: its key is remembered like any command's. So a restart brings nothing
twice, a number changed later changes nothing, and an SKU added later is received at the next start.
"""

import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts.base import Quantity, Sku

_STOCK: TypeAdapter[dict[str, int]] = TypeAdapter(dict[Sku, Quantity])


class UnusableStockFile(Exception):
    """The file cannot be read as stock; the message says where and why, in one line."""


def seed_key(sku: str) -> str:
    return f"seed:{sku}"


def read_stock_file(path: Path) -> dict[str, int]:
    """The quantity of each SKU in the file's table `[stock]`.

    Raises:
        UnusableStockFile: it is missing, not TOML, or holds anything but SKUs and quantities.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnusableStockFile(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnusableStockFile(f"{path}: is not TOML: {error}") from error
    if content.keys() != {"stock"}:
        raise UnusableStockFile(f"{path}: must hold one table, [stock], with lines such as BOOK-1 = 1000")
    try:
        return _STOCK.validate_python(content["stock"])
    except ValidationError as error:
        first = error.errors()[0]
        where = first["loc"][0] if first["loc"] else "[stock]"
        raise UnusableStockFile(f"{path}: {where}: {first['msg']}") from error
