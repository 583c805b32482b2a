"""What a kind of saga promises at its end, as checks, and how any saga is held to that. Pure.

A kind supplies its clean-slate check as a `Promise`: what `completed` and `compensated` mean for it, and what shows
that an operation was skipped. What `forced` and `terminated` mean follows from that.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from api.audit.evidence import Evidence
from api.audit.verdicts import Verdict, verdict
from contracts.faults import Phase
from contracts.sagas import Residue


@dataclass(frozen=True, slots=True)
class Promise:
    completed: Callable[[Evidence], Iterator[Verdict]]
    compensated: Callable[[Evidence], Iterator[Verdict]]
    explains: Mapping[Residue, set[str]]
    """Which invariants cannot hold if an operation was skipped and had no effect. The pivot cannot be skipped."""
    missing: Callable[[Evidence], Mapping[str, bool]]
    """Of a saga that went forward: which steps look as if their action had been skipped."""
    left: Callable[[Evidence], Mapping[str, bool]]
    """Of one that was unwound: which steps look as if their compensation had been skipped."""


def forced(evidence: Evidence, promise: Promise) -> Iterator[Verdict]:
    """All that holds for a saga that ended the same way without a skip, but for what the skipped operations left."""
    found = set(_residue_found(evidence, promise))
    yield _residue_is_listed(evidence, found)
    explained_by = {
        invariant: residue
        for residue in set(evidence.residue) & found
        for invariant in promise.explains.get(residue, ())
    }
    for judged in promise.completed(evidence) if _went_forward(evidence) else promise.compensated(evidence):
        residue = explained_by.get(judged.invariant)
        if judged.holds or residue is None:
            yield judged
        else:
            yield verdict(f"{judged.invariant}, but for {_named(residue)}", [], *judged.evidence)


def all_or_nothing(evidence: Evidence, promise: Promise) -> Verdict:
    """A saga that was ended from outside promises nothing; this tells whether somebody has to clean up after it."""
    broken = [
        [one.invariant for one in judged if not one.holds]
        for judged in (promise.compensated(evidence), promise.completed(evidence))
    ]
    wrong = [f"not so: {invariant}" for invariant in min(broken, key=len)] if all(broken) else []
    return verdict("ended from outside, yet nothing is half done", wrong, "all is done, or nothing is left")


def _residue_is_listed(evidence: Evidence, found: set[Residue]) -> Verdict:
    """What is listed may turn out smaller than listed: an operator gives up on an effect that is not known."""
    listed = set(evidence.residue)
    unlisted = [f"{_named(residue)} is left, and not listed" for residue in found - listed]
    seen = [f"{_named(residue)} is listed, and {'is' if residue in found else 'is not'} left" for residue in listed]
    return verdict("nothing is left beyond the residue listed", unlisted, *seen)


def _went_forward(evidence: Evidence) -> bool:
    """Actions are skipped only behind the pivot, compensations only when the saga is unwinding."""
    return any(residue.phase is Phase.ACTION for residue in evidence.residue)


def _residue_found(evidence: Evidence, promise: Promise) -> Iterator[Residue]:
    """Which operations look as if they had been skipped: exactly what that leaves, not something half done."""
    if _went_forward(evidence):
        phase, found = Phase.ACTION, promise.missing(evidence)
    else:
        phase, found = Phase.COMPENSATION, promise.left(evidence)
    yield from (Residue(step=step, phase=phase) for step, is_found in found.items() if is_found)


def _named(residue: Residue) -> str:
    return f"{residue.step} ({residue.phase})"
