"""The shipping service: shipments, and the stock they are taken from."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from contracts.commands import ReceiveStock
from services.kernel.app import Service, create_service_app
from services.kernel.database import Database
from services.kernel.errors import KeyReused
from services.kernel.executor import Executor
from services.shipping.carrier import CarrierDesk, CarrierSimulator
from services.shipping.handlers import OPERATIONS, RECEIVE_STOCK, SHIPMENT, STOCK
from services.shipping.seeding import read_stock_file, seed_key
from services.shipping.stock_routes import stock_routes


def create_app(
    *, database_url: str, stock_file: Path | None, fault_injection: bool, carrier_delay_s: float = 2.0
) -> FastAPI:
    """The service as an ASGI app.

    Args:
        carrier_delay_s: how long the simulated carrier takes to answer where it answers by event.

    Raises:
        UnusableStockFile: with one line that says where and why, before anything is started.
    """
    database = Database(database_url)
    desk = CarrierDesk(database, CarrierSimulator(timedelta(seconds=carrier_delay_s)))
    seed = read_stock_file(stock_file) if stock_file else {}

    async def receive_seed(executor: Executor) -> None:
        for sku, quantity in seed.items():
            # The number in the file was changed after it was received, which has no effect.
            with suppress(KeyReused):
                await executor.execute(RECEIVE_STOCK, ReceiveStock(sku=sku, quantity=quantity), key=seed_key(sku))

    return create_service_app(
        Service(
            name="shipping",
            database=database,
            operations=OPERATIONS,
            aggregates=(SHIPMENT, STOCK),
            fault_injection=fault_injection,
            routers=(stock_routes(database),),
            on_start=receive_seed,
            on_accepted=desk.wake,
            alongside=desk.run,
        )
    )
