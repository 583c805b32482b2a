"""How a service declares the commands it takes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from contracts.base import Contract
from contracts.commands import Command
from services.kernel.decisions import Handling
from services.kernel.unit_of_work import UnitOfWork

C = TypeVar("C", bound=Contract)


class CommandPhase(StrEnum):
    """What a command is to the barrier."""

    ACTION = "action"
    UNDO = "undo"
    FENCE = "fence"
    OTHER = "other"
    """Belongs to no saga and is never undone."""


def order_stream(command: Command) -> str:
    """An order's stream is named after the order, in every service."""
    return str(command.order_id)


@dataclass(frozen=True)
class Operation(Generic[C]):
    """A command, who handles it, and how the barrier treats it."""

    command: type[C]
    phase: CommandPhase
    handle: Callable[[C, UnitOfWork], Handling]
    stream_of: Callable[[C], str]
    refusals: tuple[str, ...] = ()
    """The codes that are a refusal to the caller. The first one stands in where an injected refusal names none."""
    undoes: type[Contract] | None = None
    """For an undo or a fence: the action with which it shares its key."""
    retriable: bool = False
    """After the pivot: a refusal is not stored, so that trying again can succeed."""
    not_identity: frozenset[str] = frozenset()
    """Fields that may differ when the command is repeated; the first ones count."""

    @property
    def name(self) -> str:
        return self.command.__name__

    def stores_refusal(self, code: str) -> bool:
        """Only a declared "no" to an action is for good; all other obstacles may pass."""
        return self.phase is CommandPhase.ACTION and not self.retriable and code in self.refusals

    def digest(self, command: C) -> str:
        """Equal for commands that are the same when repeated.

        Fields at their defaults are left out: a release that adds one must not take old keys for reused.
        """
        body = command.model_dump_json(exclude=set(self.not_identity), exclude_defaults=True)
        return hashlib.sha256(body.encode()).hexdigest()


AnyOperation = Operation[Any]
