"""Bugs that are put into the code on purpose, one at a time: the proof must find each, by the case named for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.mutations.catalogue import MUTATIONS, MutableCode, Mutation
from tests.support.proving import WITHIN_S, prove
from tests.support.system import NO_CONSUMERS, System, running_system

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(WITHIN_S)]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> MutableCode:
    return MutableCode(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
async def mutable(tmp_path_factory: pytest.TempPathFactory, code: MutableCode) -> AsyncIterator[System]:
    """A system that runs from the copy of the code."""
    async with running_system(tmp_path_factory.mktemp("mutable"), NO_CONSUMERS, code.root) as system:
        yield system


async def test_cases_when_the_code_is_sound_then_no_surprise(mutable: System, tmp_path: Path) -> None:
    only = [argument for mutation in MUTATIONS for argument in ("--only", mutation.case)]

    proved = await prove(mutable, tmp_path, *only)

    assert proved.surprises == [], proved.said
    assert len(proved.cases) == len({mutation.case for mutation in MUTATIONS})


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug)
async def test_bug_when_it_is_there_then_found(
    mutable: System, code: MutableCode, mutation: Mutation, tmp_path: Path
) -> None:
    with code.with_bug(mutation):
        await mutable.restart(*code.to_be_restarted(mutation))
        proved = await prove(mutable, tmp_path, "--only", mutation.case)

    assert proved.exit_code == 1, proved.said
    # Sound workflow code never replays what other code has recorded: that alone would prove nothing.
    found = [why for case in proved.surprises for why in case["surprises"] if "does not replay" not in why]
    assert found, proved.said
    print(f"{proved.surprises[0]['name']}: {found}")
