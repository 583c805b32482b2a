"""The other read models of the query side, as it answers them: one order, stock and money."""

from fastapi import APIRouter

from api.web.problem_codes import documented
from api.web.problems import not_in_view
from api.web.requests import AsOf, OrderId, ReadModels, SkuOfPath
from contracts.views import MoneyView, OrderView, StockView

router = APIRouter(tags=["views"])


@router.get("/views/orders/{order_id}", responses=documented("ORDER_NOT_FOUND", "MALFORMED", "SERVICE_UNAVAILABLE"))
async def view_order(order_id: OrderId, when: AsOf, views: ReadModels) -> OrderView:
    """Show an order as the services together tell of it, now or at a past moment. It is a moment behind."""
    order = await views.order(order_id, when.at)
    if order is None:
        raise not_in_view("order", order_id, when.at)
    return order


@router.get("/stock", responses=documented("SERVICE_UNAVAILABLE"))
async def view_all_stock(views: ReadModels) -> list[StockView]:
    """Show the stock of every SKU that was ever received. It is a moment behind."""
    return await views.all_stock()


@router.get("/stock/{sku}", responses=documented("SKU_NOT_FOUND", "MALFORMED", "SERVICE_UNAVAILABLE"))
async def view_stock(sku: SkuOfPath, when: AsOf, views: ReadModels) -> StockView:
    """Show the stock of one SKU, now or at a past moment. It is a moment behind."""
    stock = await views.stock(sku, when.at)
    if stock is None:
        raise not_in_view("SKU", sku, when.at)
    return stock


@router.get("/money", responses=documented("SERVICE_UNAVAILABLE"))
async def view_money(views: ReadModels) -> list[MoneyView]:
    """Show what became of all authorized money, currency by currency. It is a moment behind."""
    return await views.money()
