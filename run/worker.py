"""The worker process: runs sagas and their activities until it is told to stop."""

import asyncio
import os
import signal
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.order import OrderActivities
from activities.payment import PaymentActivities
from activities.service_client import ServiceClient
from activities.shipping import ShippingActivities
from workflows.converter import DATA_CONVERTER
from workflows.order_saga import OrderSaga
from workflows.return_saga import ReturnSaga

PASSED_THROUGH = (
    "contracts",
    "activities",
    "workflows.saga",
    "workflows.policies",
    "workflows.names",
    "workflows.order_commands",
    "workflows.return_commands",
    "workflows.saga_input",
)
"""Loaded once for all sagas: they hold no state, and loading them anew for each would cost a third of its time."""
WORKFLOWS = [OrderSaga, ReturnSaga]
"""Every saga there is."""
_GRACE = timedelta(seconds=10)


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox in which sagas run, in tests as well."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


async def run_worker(
    *,
    temporal_address: str,
    namespace: str,
    task_queue: str,
    order_url: str,
    payment_url: str,
    shipping_url: str,
    max_cached_workflows: int = 1000,
    fault_injection: bool = False,
) -> None:
    """Works until SIGTERM or SIGINT, then lets running attempts finish for a while.

    With fault injection it dies on the spot where a service's answer says so.

    Raises:
        RuntimeError: Temporal cannot be reached.
    """
    client = await Client.connect(temporal_address, namespace=namespace, data_converter=DATA_CONVERTER)
    on_crash = _die if fault_injection else None
    order, payment, shipping = (
        ServiceClient("order", order_url, on_crash=on_crash),
        ServiceClient("payment", payment_url, on_crash=on_crash),
        ServiceClient("shipping", shipping_url, on_crash=on_crash),
    )
    ordering, paying, sending = OrderActivities(order), PaymentActivities(payment), ShippingActivities(shipping)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[
            ordering.place_order,
            ordering.reject_order,
            ordering.confirm_order,
            paying.authorize_payment,
            paying.release_payment,
            paying.capture_payment,
            paying.abandon_capture,
            sending.book_shipment,
            sending.cancel_shipment,
            sending.dispatch_shipment,
            ordering.open_return,
            ordering.withdraw_return,
            ordering.close_return,
            paying.refund_payment,
            paying.abandon_refund,
            sending.recall_shipment,
            sending.cancel_recall,
            sending.receive_shipment,
        ],
        workflow_runner=workflow_runner(),
        max_cached_workflows=max_cached_workflows,
        # After a worker's death its sagas wait this long for it before any other worker may take them.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=_GRACE,
    )
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with worker:
        await stop.wait()
    for service in (order, payment, shipping):
        await service.close()


def _die() -> None:
    """Like a worker whose machine loses its power: nothing is finished, and nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
