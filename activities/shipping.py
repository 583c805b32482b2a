"""What sagas ask of the shipping service."""

from temporalio import activity

from activities.service_client import ServiceClient
from contracts.commands import (
    BookShipment,
    CancelRecall,
    CancelShipment,
    DispatchShipment,
    RecallShipment,
    ReceiveShipment,
)
from contracts.wire import Call, Reply


class ShippingActivities:
    def __init__(self, shipping: ServiceClient) -> None:
        self._shipping = shipping

    @activity.defn
    async def book_shipment(self, command: BookShipment, call: Call) -> Reply:
        return await self._shipping.send(command, call)

    @activity.defn
    async def cancel_shipment(self, command: CancelShipment, call: Call) -> Reply:
        return await self._shipping.send(command, call)

    @activity.defn
    async def dispatch_shipment(self, command: DispatchShipment, call: Call) -> Reply:
        return await self._shipping.send(command, call)

    @activity.defn
    async def recall_shipment(self, command: RecallShipment, call: Call) -> Reply:
        return await self._shipping.send(command, call)

    @activity.defn
    async def cancel_recall(self, command: CancelRecall, call: Call) -> Reply:
        return await self._shipping.send(command, call)

    @activity.defn
    async def receive_shipment(self, command: ReceiveShipment, call: Call) -> Reply:
        return await self._shipping.send(command, call)
