"""The books: stock by SKU and money by currency, folded from events. Pure: no I/O, no framework."""

from collections.abc import Iterable
from typing import assert_never

from contracts.events import StockBooked, StockDispatched, StockReceived, StockReturned, StockTakenBack
from contracts.views import MoneyView, StockView
from services.views.facts import StockFact
from services.views.order_view import Hold, HoldStatus


def book_stock(stock: StockView, fact: StockFact) -> StockView:
    """The stock after units came, were set aside, came back, or left. Always: all that was received is somewhere."""
    quantity = fact.quantity
    match fact:
        case StockReceived():
            change = {"received": stock.received + quantity, "on_hand": stock.on_hand + quantity}
        case StockBooked():
            change = {"on_hand": stock.on_hand - quantity, "booked": stock.booked + quantity}
        case StockReturned():
            change = {
                "on_hand": stock.on_hand + quantity,
                "booked": stock.booked - quantity,
                "returned": stock.returned + quantity,
            }
        case StockDispatched():
            change = {"booked": stock.booked - quantity, "dispatched": stock.dispatched + quantity}
        case StockTakenBack():
            change = {"on_hand": stock.on_hand + quantity, "taken_back": stock.taken_back + quantity}
        case _:
            assert_never(fact)
    return stock.model_copy(update=change)


def fold_stock(sku: str, facts: Iterable[StockFact]) -> StockView:
    stock = StockView(sku=sku)
    for fact in facts:
        stock = book_stock(stock, fact)
    return stock


def book_money(money: MoneyView, hold: Hold) -> MoneyView:
    """The money after a hold has become what it is now. Always: all that was authorized is somewhere."""
    amount = hold.amount_minor
    if hold.refunded_minor:
        return money.model_copy(update={"refunded_minor": money.refunded_minor + hold.refunded_minor})
    match hold.status:
        case HoldStatus.HELD:
            change = {
                "authorized_minor": money.authorized_minor + amount,
                "held_minor": money.held_minor + amount,
            }
        case HoldStatus.CAPTURED:
            change = {"captured_minor": money.captured_minor + amount, "held_minor": money.held_minor - amount}
        case HoldStatus.VOIDED:
            change = {"voided_minor": money.voided_minor + amount, "held_minor": money.held_minor - amount}
        case HoldStatus.EXPIRED:
            change = {"expired_minor": money.expired_minor + amount, "held_minor": money.held_minor - amount}
        case _:
            assert_never(hold.status)
    return money.model_copy(update=change)
