"""Bugs to be put into a copy of the code, one at a time, and the case of the proof that must find each.

A mutation replaces text that stands in its file exactly once, so one that does not fit the code any more is noticed.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from run.settings import ROOT

WORKER = ("worker",)
SERVICES = ("order", "payment", "shipping")
_CODE = ("contracts", "messaging", "workflows", "activities", "api", "services", "run", "proof", "examples")


@dataclass(frozen=True, slots=True)
class Mutation:
    """One bug."""

    bug: str
    """What the code does wrong with it."""
    file: str
    before: str
    after: str
    parts: tuple[str, ...]
    """The processes that run the code."""
    case: str
    """The proof's case that shows it."""


MUTATIONS = (
    Mutation(
        "a failed attempt is dropped from what to undo",
        "workflows/saga/orchestrator.py",
        "steps = [step for step in place if step.kind is StepKind.COMPENSATABLE]",
        "steps = [step for step in place if step.kind is StepKind.COMPENSATABLE"
        " and self._progress.state_of(step.name) is not StepState.FAILED]",
        WORKER,
        "order/fast/book_shipment.action.lost_reply.always",
    ),
    Mutation(
        "an undo that finds nothing leaves no tombstone",
        "services/kernel/barrier.py",
        "return Settled(Outcome.FENCED if fences else Outcome.NOTHING_TO_UNDO)",
        "return Answered(Reply(outcome=Outcome.FENCED if fences else Outcome.NOTHING_TO_UNDO))",
        SERVICES,
        "order/fast/book_shipment.action.late.overtaken",
    ),
    Mutation(
        "the pivot is not fenced before unwinding",
        "workflows/saga/orchestrator.py",
        "if pivot is None or turn.refused_at is not None:\n            return True",
        "if True:\n            return True",
        WORKER,
        "order/fast/capture_payment.action.lost_reply.always~give_up",
    ),
    Mutation(
        "only what this run remembers is undone",
        "workflows/saga/orchestrator.py",
        "steps = [step for step in place if step.kind is StepKind.COMPENSATABLE]",
        "steps = [step for step in place if step.kind is StepKind.COMPENSATABLE"
        " and self._progress.state_of(step.name) is not StepState.PENDING]",
        WORKER,
        "order/fast/forgotten.book_shipment.action.crash_worker.after+deadline",
    ),
    Mutation(
        "the first act of unwinding is a local activity",
        "workflows/saga/orchestrator.py",
        "insist(pivot, Phase.COMPENSATION, fast=False, cause=turn.cause)",
        "insist(pivot, Phase.COMPENSATION, fast=self._policy.fast_path, cause=turn.cause)",
        WORKER,
        "order/fast/forgotten.book_shipment.action.error.once+capture_payment.compensation.crash_worker.after",
    ),
    Mutation(
        "a cancellation ends the unwinding",
        "workflows/saga/orchestrator.py",
        "except asyncio.CancelledError:\n                self._calls.cancel()",
        "except asyncio.CancelledError:\n                if self._progress.status is SagaStatus.UNWINDING:\n"
        "                    raise\n                self._calls.cancel()",
        WORKER,
        "order/durable/cancel_in_temporal.authorize_payment.compensation.in_flight",
    ),
    Mutation(
        "a stored reply outranks the tombstone",
        "services/kernel/barrier.py",
        "if any(row.phase in (CommandPhase.UNDO, CommandPhase.FENCE) for row in entries.values()):",
        "if own is None and any(row.phase in (CommandPhase.UNDO, CommandPhase.FENCE) for row in entries.values()):",
        SERVICES,
        "order/fast/reset.capture_payment.action.refuse.once",
    ),
    Mutation(
        "a stuck compensation stops the others",
        "workflows/saga/orchestrator.py",
        "lambda: all(task.done() or self._insistence.is_stuck(step) for step, task in tasks.items())",
        "lambda: all(task.done() for task in tasks.values())",
        WORKER,
        "order/*/capture_payment.action.refuse.once+place_order.compensation.error.always"
        "+book_shipment.compensation.error.always",
    ),
    Mutation(
        "the pivot unwinds when it times out",
        "workflows/saga/orchestrator.py",
        "turn = self._turn(step, await self._insistence.insist(step, Phase.ACTION, fast=self._policy.fast_path))",
        "turn = self._turn(step, await self._attempt(step))",
        WORKER,
        "order/fast/capture_payment.action.late.always",
    ),
    Mutation(
        "the barrier's row is written in a transaction of its own",
        "services/kernel/executor.py",
        'row.outcome, row.reply = handling, reply.model_dump(mode="json")\n    _keep(session, row)\n    return reply',
        """import threading
    told = {**row.model_dump(), "outcome": handling, "reply": reply.model_dump(mode="json")}
    engine = session.connection().engine

    def write() -> None:
        with Session(engine) as apart:
            apart.merge(CommandRow(**told))
            apart.commit()

    threading.Timer(1.0, write).start()
    return reply""",
        SERVICES,
        "order/durable/authorize_payment.action.lost_reply.once",
    ),
    Mutation(
        "money is captured twice",
        "services/payment/domain.py",
        "return (PaymentCaptured(authorization),)",
        "return (PaymentCaptured(authorization), PaymentCaptured(authorization))",
        ("payment",),
        "order/fast/healthy",
    ),
    Mutation(
        "the stock of a cancelled shipment is not returned",
        "services/shipping/domain.py",
        "return Movement(ShipmentCancelled(), returned)",
        "return Movement(ShipmentCancelled(), {})",
        ("shipping",),
        "order/fast/capture_payment.action.refuse.once",
    ),
)


class MutableCode:
    """A copy of the code, to be changed while a system runs from it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in _CODE:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        self._clock = 1_700_000_000
        self._unsound: tuple[str, ...] = ()

    @contextmanager
    def with_bug(self, mutation: Mutation) -> Iterator[None]:
        """The bug is in the code as long as the context lasts. Processes notice when they are started again."""
        file = self.root / mutation.file
        sound = file.read_text()
        self._write(file, sound.replace(mutation.before, mutation.after))
        try:
            yield
        finally:
            self._write(file, sound)

    def to_be_restarted(self, mutation: Mutation) -> set[str]:
        """The processes that run its code, and those that still run the bug before it."""
        parts = {*self._unsound, *mutation.parts}
        self._unsound = mutation.parts
        return parts

    def _write(self, file: Path, text: str) -> None:
        file.write_text(text)
        # Compiled code is told from source by its size and whole seconds of its time.
        self._clock += 10
        os.utime(file, (self._clock, self._clock))
