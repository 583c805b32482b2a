"""Participants of test sagas: they keep the wire contract's promises in memory, and fail as a script tells them to."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from contracts.base import Contract
from contracts.wire import ALREADY_COMPENSATED, Call, Outcome, Reply


class Move(StrEnum):
    """What one attempt does."""

    DO = "do"
    REFUSE = "refuse"
    ERROR = "error"
    """Fails without an effect."""
    LOSE = "lose"
    """Has its effect, then fails."""
    ACCEPT = "accept"
    """Accepts; it is under way until the test concludes it."""
    LATE = "late"
    """Times out; the effect lands later, when everything else is over."""


class Command(Contract):
    """What test steps are sent."""

    step: str


BUGS: set[str] = set()
"""Names of steps at which workflow code has a bug, until it is fixed by discarding them from here."""


class Participants:
    """All participants of all test sagas. A script gives the moves of the first attempts; then every attempt does."""

    def __init__(self) -> None:
        self.scripts: dict[tuple[str, str], list[Move]] = {}
        self.always: dict[tuple[str, str], Move] = {}
        """The move of every attempt after the script, by key and half."""
        self.acted: dict[str, int] = defaultdict(int)
        self.undone: dict[str, int] = defaultdict(int)
        self.barred: set[str] = set()
        self.refused: set[str] = set()
        self.accepted: set[str] = set()
        """Keys of actions that are under way."""
        self.calls: list[tuple[str, str]] = []
        """Key and half of each attempt, as they arrived."""
        self.holds: dict[tuple[str, str], asyncio.Event] = {}
        """Attempts that wait, before they do anything, for an event."""
        self._late: list[tuple[str, str]] = []

    def live(self, saga_id: str) -> set[str]:
        """The steps of a saga whose effect stands."""
        prefix = f"{saga_id}:"
        return {
            key.removeprefix(prefix)
            for key, times in self.acted.items()
            if key.startswith(prefix) and times > self.undone[key]
        }

    def land_late_effects(self, saga_id: str) -> None:
        """Now arrives what was on its way all the time."""
        for key, half in self._late:
            if key.startswith(f"{saga_id}:"):
                self._effect(key, half, ignore_refusal=True)

    def calls_of(self, saga_id: str) -> list[str]:
        """The attempts of one saga, as `step` or `-step` for an undo, in the order of their arrival."""
        sign = {"act": "", "undo": "-", "fence": "-"}
        return [sign[half] + key.split(":")[1] for key, half in self.calls if key.startswith(f"{saga_id}:")]

    def conclude(self, key: str, *, refused: bool = False) -> None:
        """What was accepted has its outcome, unless it was undone meanwhile."""
        if key in self.accepted and key not in self.barred:
            self.accepted.remove(key)
            if refused:
                self.acted[key] = 0
                self.refused.add(key)

    @activity.defn(dynamic=True)
    async def attempt(self, args: Sequence[RawValue]) -> Reply:
        half = activity.info().activity_type.split("_")[0]
        call = activity.payload_converter().from_payload(args[1].payload, Call)
        self.calls.append((call.key, half))
        if (hold := self.holds.get((call.key, half))) is not None:
            await hold.wait()
        script = self.scripts.get((call.key, half), [])
        move = script.pop(0) if script else self.always.get((call.key, half), Move.DO)
        if move is Move.ERROR:
            raise ApplicationError("scripted error", type="SCRIPTED")
        if move is Move.LATE:
            self._late.append((call.key, half))
            await asyncio.sleep(call.timeout_s * 2)
            raise ApplicationError("nobody listens to this any more", type="SCRIPTED")
        if move is Move.REFUSE:
            self._refuse(call.key, half)
        if move is Move.ACCEPT and call.key not in self.barred:
            self.accepted.add(call.key)
        reply = self._effect(call.key, half)
        if move is Move.LOSE:
            raise ApplicationError("scripted loss of the reply", type="SCRIPTED")
        return reply

    def _refuse(self, key: str, half: str) -> None:
        if half == "act" and key not in self.barred and not self.acted[key]:
            self.refused.add(key)
        elif half != "act":
            raise ApplicationError("scripted refusal", type="NO", non_retryable=True)

    def _effect(self, key: str, half: str, *, ignore_refusal: bool = False) -> Reply:
        if half == "act":
            code = ALREADY_COMPENSATED if key in self.barred else "NO" if key in self.refused else None
            if code is not None:
                if ignore_refusal:
                    return Reply(outcome=Outcome.DONE)
                raise ApplicationError("refused", type=code, non_retryable=True)
            self.acted[key] = 1
            return Reply(outcome=Outcome.ACCEPTED if key in self.accepted else Outcome.DONE)
        if half == "fence":
            if self.acted[key]:
                return Reply(outcome=Outcome.ALREADY_DONE)
            self.barred.add(key)
            return Reply(outcome=Outcome.FENCED)
        self.barred.add(key)
        if self.acted[key]:
            self.undone[key] = 1
            return Reply(outcome=Outcome.DONE)
        return Reply(outcome=Outcome.NOTHING_TO_UNDO)
