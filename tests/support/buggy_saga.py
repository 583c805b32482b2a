"""An order saga of a release that should not have been."""

from temporalio import workflow

from workflows.names import ORDER_SAGA

with workflow.unsafe.imports_passed_through():
    from workflows.order_commands import OrderSagaInput


@workflow.defn(name=ORDER_SAGA)
class BuggySaga:
    @workflow.run
    async def run(self, saga: OrderSagaInput) -> None:
        raise ZeroDivisionError("a bug in workflow code")
