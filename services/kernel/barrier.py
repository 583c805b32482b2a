"""The command barrier: makes repeated, late and racing commands harmless.

Each command leaves one row under its key and name, in the same transaction as its effect. A step's action and its
undo (compensation or fence) share their key, so either finds what became of the other.

Guarantees, each within one transaction and so under any race:
- The same command again gets the stored reply; the key with another body, order or saga is `KeyReused`.
- Once a step is compensated or fenced, its action is refused with ALREADY_COMPENSATED, whatever was stored for it.
- An undo whose action never happened, or was refused, changes nothing but leaves its row, the tombstone.
- A fence whose action has happened answers `already_done` and leaves no row: it changed nothing.
- An accepted action is under way. Its row says so until the outcome is known, or until it is undone, whichever comes
  first; what comes second changes nothing.
- An action with an `intended` row may have had its effect outside (the process died in between). It is neither
  taken as done nor as not done: its handler, or its undo's, must ask outside.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from contracts.wire import ALREADY_COMPENSATED, Outcome, Reply
from services.kernel.errors import KeyReused
from services.kernel.operations import CommandPhase
from services.kernel.refusal import Refusal
from services.kernel.tables import CommandRow

Entries = Mapping[str, CommandRow]
"""What is known of one key, by command name."""


class EntryState(StrEnum):
    """Outcomes of a row that no `Outcome` stands for."""

    INTENDED = "intended"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """A command as the barrier sees it."""

    key: str
    command: str
    phase: CommandPhase
    stream: str
    saga_id: str | None
    digest: str
    undoes: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is known; nothing is left to do."""

    reply: Reply | Refusal


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do, but the command's row is to be written, so that it stays so."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Proceed:
    """The handler's turn."""

    resumed: bool
    """An earlier attempt got as far as its intent."""


Verdict = Answered | Settled | Proceed


def entries_of(session: Session, key: str) -> Entries:
    rows = session.exec(select(CommandRow).where(col(CommandRow.key) == key)).all()
    return {row.command: row for row in rows}


def judge(request: Request, entries: Entries) -> Verdict:
    """What the barrier says to a command, given all that is known of its key.

    Raises:
        KeyReused: the key came before with another body, or for another order or saga.
    """
    own = entries.get(request.command)
    if own and own.body_digest != request.digest:
        raise KeyReused(request.key)
    if any((row.stream, row.saga_id) != (request.stream, request.saga_id) for row in entries.values()):
        raise KeyReused(request.key)
    if request.phase in (CommandPhase.UNDO, CommandPhase.FENCE):
        return _judge_undo(request, own, entries.get(request.undoes or ""))
    if any(row.phase in (CommandPhase.UNDO, CommandPhase.FENCE) for row in entries.values()):
        return Answered(already_compensated(request.key))
    if own and own.outcome != EntryState.INTENDED:
        return Answered(_stored_reply(own))
    return Proceed(resumed=own is not None)


def under_way(entries: Entries, command: str) -> CommandRow | None:
    """The row of an accepted action whose outcome is not known yet; None if it is, or if it was undone."""
    row = entries.get(command)
    return row if row and row.outcome == Outcome.ACCEPTED else None


def call_off(row: CommandRow) -> None:
    """An undo has come before the outcome of an accepted action, which is not under way any more."""
    row.outcome, row.reply = EntryState.REFUSED, asdict(already_compensated(row.key))


def already_compensated(key: str) -> Refusal:
    return Refusal(ALREADY_COMPENSATED, f"{key} was compensated or fenced before; it cannot happen any more")


def _judge_undo(request: Request, own: CommandRow | None, action: CommandRow | None) -> Verdict:
    if own:
        return Answered(_stored_reply(own))
    fences = request.phase is CommandPhase.FENCE
    if action is None or action.outcome == EntryState.REFUSED:
        return Settled(Outcome.FENCED if fences else Outcome.NOTHING_TO_UNDO)
    if fences and action.outcome == Outcome.DONE:
        return Answered(Reply(outcome=Outcome.ALREADY_DONE))
    return Proceed(resumed=False)


def _stored_reply(row: CommandRow) -> Reply | Refusal:
    if row.outcome == EntryState.REFUSED:
        return Refusal(**(row.reply or {}))
    return Reply.model_validate(row.reply)
