"""What sagas ask of the order service."""

from temporalio import activity

from activities.service_client import ServiceClient
from contracts.commands import CloseReturn, ConfirmOrder, OpenReturn, PlaceOrder, RejectOrder, WithdrawReturn
from contracts.wire import Call, Reply


class OrderActivities:
    def __init__(self, order: ServiceClient) -> None:
        self._order = order

    @activity.defn
    async def place_order(self, command: PlaceOrder, call: Call) -> Reply:
        return await self._order.send(command, call)

    @activity.defn
    async def reject_order(self, command: RejectOrder, call: Call) -> Reply:
        return await self._order.send(command, call)

    @activity.defn
    async def confirm_order(self, command: ConfirmOrder, call: Call) -> Reply:
        return await self._order.send(command, call)

    @activity.defn
    async def open_return(self, command: OpenReturn, call: Call) -> Reply:
        return await self._order.send(command, call)

    @activity.defn
    async def withdraw_return(self, command: WithdrawReturn, call: Call) -> Reply:
        return await self._order.send(command, call)

    @activity.defn
    async def close_return(self, command: CloseReturn, call: Call) -> Reply:
        return await self._order.send(command, call)
