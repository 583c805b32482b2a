"""Histories that sagas wrote before must replay with today's workflow code: running sagas live through releases."""

import pytest
from temporalio.worker import Replayer

from run.worker import WORKFLOWS, workflow_runner
from tests.support.histories import NAMES, recorded
from workflows.converter import DATA_CONVERTER


@pytest.mark.parametrize("name", NAMES)
async def test_recorded_history_when_replayed_then_the_same_decisions(name: str) -> None:
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)

    await replayer.replay_workflow(recorded(name).history)
