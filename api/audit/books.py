"""Compares our books of all holds with the payment gateway's, without reading either whole.

Both tell the sums of all orders, split by the first characters of the orders' ids. Where they agree, nothing more is
asked; where they differ, the same is asked of that part alone, until it is small enough to be compared order by order.
A sum carries a fingerprint of the orders' ids, so that two errors that cancel out in money show nevertheless.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contracts.audits import BookEntry, BookTotal

SMALL = 100
"""So many holds are compared order by order."""
DEEPEST = 8
"""Characters of a prefix; nobody has a thousand orders that share as many."""
MOVED = frozenset(("taken", "refunded"))
"""The states of captures and refunds, which have keys of their own."""

Books = Counter[tuple[str, str, str, int]]
"""One order's: how often each key, state, currency and amount."""


class Keeper(Protocol):
    """Who keeps books: we, or the gateway."""

    async def totals(self, prefix: str) -> list[BookTotal]: ...

    async def entries(self, prefix: str) -> list[BookEntry]: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """An order that the two books tell differently."""

    order_id: str
    ours: Books
    theirs: Books

    def __str__(self) -> str:
        return f"order {self.order_id}: ours {_told(self.ours)}, theirs {_told(self.theirs)}"


@dataclass
class Comparison:
    totals: int = 0
    """How many holds were compared, by their sums at least."""
    differences: list[Difference] = field(default_factory=list)
    unread: int = 0
    """Parts that differ and were not looked into, because there are too many."""


async def compare(ours: Keeper, theirs: Keeper, *, questions: int) -> Comparison:
    """What differs, found with at most so many questions to each."""
    found, parts = Comparison(), [""]
    while parts:
        prefix = parts.pop(0)
        if questions <= 0:
            found.unread += 1
            continue
        questions -= 1
        of_us, of_them = map(_by_part, await asyncio.gather(ours.totals(prefix), theirs.totals(prefix)))
        if not prefix:
            found.totals = _holds(of_us.values())
        for part in sorted({*of_us, *of_them}):
            mine, yours = of_us.get(part, {}), of_them.get(part, {})
            if mine == yours:
                continue
            if len(part) < DEEPEST and max(_holds([mine]), _holds([yours])) > SMALL:
                parts.append(part)
            elif questions <= 0:
                found.unread += 1
            else:
                questions -= 1
                found.differences += await differences(ours, theirs, part)
    return found


async def differences(ours: Keeper, theirs: Keeper, prefix: str) -> list[Difference]:
    """Of the orders whose ids begin so, those that the two books tell differently."""
    mine, yours = map(_by_order, await asyncio.gather(ours.entries(prefix), theirs.entries(prefix)))
    return [
        Difference(order_id, mine[order_id], yours[order_id])
        for order_id in sorted({*mine, *yours})
        if mine[order_id] != yours[order_id]
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A `Keeper` made of two questions."""

    ask_totals: Callable[[str], Awaitable[list[BookTotal]]]
    ask_entries: Callable[[str], Awaitable[list[BookEntry]]]

    async def totals(self, prefix: str) -> list[BookTotal]:
        return await self.ask_totals(prefix)

    async def entries(self, prefix: str) -> list[BookEntry]:
        return await self.ask_entries(prefix)


_Sums = Mapping[tuple[str, str], tuple[int, int, int]]


def _by_part(totals: Iterable[BookTotal]) -> dict[str, _Sums]:
    parts: dict[str, dict[tuple[str, str], tuple[int, int, int]]] = defaultdict(dict)
    for total in totals:
        parts[total.prefix][total.state, total.currency] = total.count, total.amount_minor, total.fingerprint
    return dict(parts)


def _holds(sums: Iterable[_Sums]) -> int:
    return sum(count for part in sums for (state, _), (count, *_) in part.items() if state not in MOVED)


def _by_order(entries: Iterable[BookEntry]) -> defaultdict[str, Books]:
    orders: defaultdict[str, Books] = defaultdict(Counter)
    for entry in entries:
        key = "" if entry.state in MOVED else entry.key
        orders[entry.order_id][key, entry.state, entry.currency, entry.amount_minor] += 1
    return orders


def _told(books: Books) -> str:
    told = [
        f"{state} {amount}{f' {currency}' if currency else ''}{f', {count} times' if count > 1 else ''}"
        for (_, state, currency, amount), count in sorted(books.items())
    ]
    return "; ".join(told) or "nothing"
