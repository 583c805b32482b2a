"""That every bug of the list can still be put into the code: `make mutations` shows whether the proof finds it."""

import pytest

from run.settings import ROOT
from tests.mutations.catalogue import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug)
def test_mutation_when_looked_for_fits_the_code_in_one_place(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.before) == 1
