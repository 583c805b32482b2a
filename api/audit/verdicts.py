"""What an audit says: a verdict on each invariant, with its evidence."""

from uuid import UUID

from pydantic import ConfigDict

from contracts.base import Contract
from contracts.sagas import SagaStatus


class Verdict(Contract):
    """Whether one invariant holds, and what that is seen by."""

    invariant: str
    holds: bool
    evidence: tuple[str, ...]


def verdict(invariant: str, wrong: list[str], *seen: str) -> Verdict:
    """It holds if nothing is wrong; then `seen` is the evidence."""
    return Verdict(invariant=invariant, holds=not wrong, evidence=tuple(wrong) or seen)


class Audit(Contract):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52",
                    "status": "compensated",
                    "clean": True,
                    "verdicts": [{"invariant": "nothing is captured", "holds": True, "evidence": ["captured 0"]}],
                }
            ]
        }
    )

    order_id: UUID
    status: SagaStatus
    """What the saga says it is."""
    clean: bool
    """Whether all verdicts hold."""
    verdicts: tuple[Verdict, ...]
