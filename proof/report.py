"""What a proof found: as JSON for programs, and as one self-contained page for people."""

import json
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from contracts.base import Contract
from contracts.policy import Policy
from proof.cases import Group
from proof.enumeration import QUICK
from proof.judging import Record


class Proof(Contract):
    """All that one run of the explorer has found."""

    began: datetime
    took_s: float
    seed: int
    jobs: int
    policy: Policy = QUICK
    """The cases' own, with shorter timeouts and retries than a system's usual ones. A few change it, by their names."""
    steps: tuple[str, ...]
    """Of all sagas that were proved, in the order of their tables."""
    cases: tuple[Record, ...]

    @property
    def surprises(self) -> Sequence[Record]:
        return [record for record in self.cases if not record.as_predicted]

    def counts(self) -> list[tuple[Group, int, int]]:
        """Of each group how many cases there were, and how many surprises."""
        groups = {group: [record for record in self.cases if record.group is group] for group in Group}
        return [
            (group, len(records), sum(not record.as_predicted for record in records))
            for group, records in groups.items()
            if records
        ]


def write(proof: Proof, folder: Path) -> tuple[Path, Path]:
    """Writes `proof.json` and `proof.html` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, page = folder / "proof.json", folder / "proof.html"
    told = proof.model_dump(mode="json")
    as_json.write_text(json.dumps(told, indent=1) + "\n")
    template = files("proof").joinpath("page.html").read_text()
    # Nothing in it can end the script element that it stands in.
    page.write_text(template.replace("/*PROOF*/", json.dumps(told).replace("<", "\\u003c")))
    return as_json, page
