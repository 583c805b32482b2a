"""Reading the stock: of one SKU, now or at a past version, and of all."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import Session

from contracts.base import Sought
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.streams import Version, view_stream
from services.shipping.handlers import STOCK, stock_stream


class StockView(BaseModel):
    sku: str
    version: int
    received: int
    on_hand: int
    booked: int
    dispatched: int
    taken_back: int


def stock_routes(database: Database) -> APIRouter:
    router = APIRouter(prefix="/stock", tags=["stock"])

    @router.get("")
    async def list_stock() -> list[StockView]:
        """Every SKU that was ever received."""
        return await database.read(_all)

    @router.get("/{sku}")
    async def read_stock(sku: Sought, version: Version = None) -> StockView:
        return await database.read(lambda session: _view(session, sku, version))

    return router


def _all(session: Session) -> list[StockView]:
    skus = [stream.removeprefix(STOCK.prefix) for stream in event_log.streams(session, STOCK.prefix)]
    return [_view(session, sku, None) for sku in skus]


def _view(session: Session, sku: str, version: int | None) -> StockView:
    stream = view_stream(session, STOCK, stock_stream(sku), version)
    return StockView(sku=sku, version=stream.version, **stream.state)
