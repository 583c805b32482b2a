"""Histories through the API: the story in pages, and Temporal's own, as its CLI prints it."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, Worker

from api.app import create_app
from contracts.sagas import SagaStatus
from run.worker import WORKFLOWS, workflow_runner
from tests.integration.api.bench import ApiBench, serving, settings_for
from tests.support.buggy_saga import BuggySaga
from tests.support.engine import TEMPORAL_CLI
from tests.support.eventually import eventually
from tests.support.order_world import order_worker
from tests.support.orders import an_order
from workflows.converter import DATA_CONVERTER

pytestmark = pytest.mark.integration


async def printed_by_the_cli(api: ApiBench, saga_id: str) -> Any:
    address = api.client.service_client.config.target_host
    command = (TEMPORAL_CLI, "workflow", "show", "-w", saga_id, "-n", "amends", "--address", address, "-o", "json")
    cli = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    printed, _ = await cli.communicate()
    return json.loads(printed)


async def an_ended_order(api: ApiBench, **scripts: str) -> dict[str, Any]:
    key = f"history-{uuid4()}"
    for activity, move in scripts.items():
        api.always(key, activity, move)
    view: dict[str, Any] = (await api.order(key=key, wait=20)).json()
    return view


@pytest.mark.parametrize(
    "scripts",
    [{}, {"book_shipment": "!OUT_OF_STOCK"}, {"book_shipment": "DOWN"}, {"confirm_order": "DOWN"}],
    ids=["completed", "refused", "failed", "stuck"],
)
async def test_temporals_format_when_asked_for_then_what_the_cli_prints(api: ApiBench, scripts: dict[str, str]) -> None:
    view = await an_ended_order(api, **scripts) if "confirm_order" not in scripts else await _stuck(api)

    ours = (await api.http.get(f"/orders/{view['order_id']}/history?format=temporal")).json()

    assert ours == await printed_by_the_cli(api, view["saga_id"])


async def test_saga_when_workflow_code_fails_then_suspended_and_after_the_fix_completed(api: ApiBench) -> None:
    queue = f"buggy-{uuid4()}"
    app = create_app(settings=settings_for(api.environment, task_queue=queue), transport=api.paper.transport())
    async with serving(app) as http:
        async with Worker(api.client, task_queue=queue, workflows=[BuggySaga], workflow_runner=workflow_runner()):
            placed = (await http.post("/orders", json=an_order())).json()

            async def suspended() -> bool:
                return (await http.get(placed["links"]["self"])).json()["suspended"] is not None

            await eventually(suspended)
            view = (await http.get(placed["links"]["self"])).json()
            # While the task is tried again, the server shows an SDK events that are no history yet.
            ours = (await http.get(f"{placed['links']['history']}?format=temporal")).json()
            assert ours == await printed_by_the_cli(api, placed["saga_id"])
            story = (await http.get(placed["links"]["history"])).json()["entries"]

        assert (view["status"], view["suspended"]) == ("running", "a bug in workflow code")
        assert story[-1]["what"].startswith("Workflow code failed.")

        async with order_worker(api.client, api.world, queue):
            await api.until(placed["order_id"], SagaStatus.COMPLETED)
            assert (await api.view(placed["order_id"])).suspended is None


async def test_temporals_format_when_loaded_then_replays(api: ApiBench) -> None:
    view = await an_ended_order(api, book_shipment="DOWN")

    response = await api.http.get(f"/orders/{view['order_id']}/history?format=temporal")

    history = WorkflowHistory.from_json(view["saga_id"], response.text)
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(history)


async def test_story_when_paged_then_whole_and_in_order(api: ApiBench) -> None:
    order_id = (await an_ended_order(api, book_shipment="!OUT_OF_STOCK"))["order_id"]
    whole = (await api.http.get(f"/orders/{order_id}/history")).json()

    paged, link, pages = [], f"/orders/{order_id}/history?limit=3", 0
    while link:
        page = (await api.http.get(link)).json()
        assert len(page["entries"]) <= 3
        paged += page["entries"]
        link, pages = page["next"], pages + 1

    assert paged == whole["entries"]
    assert whole["next"] is None
    assert pages == -(-len(paged) // 3)


async def test_story_when_after_the_last_event_then_empty(api: ApiBench) -> None:
    order_id = (await an_ended_order(api))["order_id"]

    page = (await api.http.get(f"/orders/{order_id}/history?after=10000")).json()

    assert (page["entries"], page["next"]) == ([], None)


async def _stuck(api: ApiBench) -> dict[str, Any]:
    """Refused, so that nothing is retried: its history stands still."""
    key = f"history-{uuid4()}"
    api.always(key, "confirm_order", "!ORDER_NOT_PENDING")
    view: dict[str, Any] = (await api.order(key=key)).json()
    await api.until(view["order_id"], SagaStatus.STUCK)
    return view
