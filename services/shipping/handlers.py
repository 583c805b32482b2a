"""Takes the shipping service's commands to its domain: one transaction for a shipment and all stock it moves."""

from contracts.commands import BookShipment, CancelShipment, Command, DispatchShipment, ReceiveStock
from contracts.wire import Outcome
from services.kernel.aggregates import Aggregate
from services.kernel.event_log import Versioned
from services.kernel.operations import AnyOperation, CommandPhase, Operation, order_stream
from services.kernel.refusal import Refusal
from services.kernel.unit_of_work import UnitOfWork
from services.shipping import domain, stock
from services.shipping.domain import Movement, Shipment
from services.shipping.events import (
    SHIPMENT_EVENTS,
    STOCK_EVENTS,
    STOCK_UPCASTERS,
    ShipmentEvent,
    StockEvent,
    StockReceived,
)
from services.shipping.public import STOCK_PREFIX, announce_shipment, announce_stock
from services.shipping.stock import Stock

SHIPMENT: Aggregate[Shipment, ShipmentEvent] = Aggregate(
    Shipment(), domain.evolve, SHIPMENT_EVENTS, announce=announce_shipment
)
STOCK: Aggregate[Stock, StockEvent] = Aggregate(
    Stock(), stock.evolve, STOCK_EVENTS, prefix=STOCK_PREFIX, announce=announce_stock, upcasters=STOCK_UPCASTERS
)


def stock_stream(sku: str) -> str:
    return STOCK.prefix + sku


def book_shipment(command: BookShipment, unit: UnitOfWork) -> Outcome | Refusal:
    shipment = unit.load(SHIPMENT, order_stream(command))
    on_shelves = {sku: unit.load(STOCK, stock_stream(sku)).state for sku in domain.units_of(command)}
    return _move(command, unit, shipment, domain.book(shipment.state, on_shelves, command))


def cancel_shipment(command: CancelShipment, unit: UnitOfWork) -> Outcome | Refusal:
    shipment = unit.load(SHIPMENT, order_stream(command))
    return _move(command, unit, shipment, domain.cancel(shipment.state, command))


def dispatch_shipment(command: DispatchShipment, unit: UnitOfWork) -> Outcome | Refusal:
    shipment = unit.load(SHIPMENT, order_stream(command))
    return _move(command, unit, shipment, domain.dispatch(shipment.state, command))


def receive_stock(command: ReceiveStock, unit: UnitOfWork) -> Outcome:
    stream = stock_stream(command.sku)
    version = unit.load(STOCK, stream).version
    unit.append(STOCK, stream, [StockReceived(command.quantity, unit.key)], expected_version=version)
    return Outcome.DONE


def _move(
    command: Command, unit: UnitOfWork, shipment: Versioned[Shipment], decision: Movement | Refusal | None
) -> Outcome | Refusal:
    if isinstance(decision, Refusal):
        return decision
    if decision is None:
        return Outcome.NOTHING_TO_UNDO
    unit.append(SHIPMENT, order_stream(command), [decision.shipment], expected_version=shipment.version)
    for sku, event in decision.stock.items():
        stream = stock_stream(sku)
        unit.append(STOCK, stream, [event], expected_version=unit.load(STOCK, stream).version)
    return Outcome.DONE


RECEIVE_STOCK = Operation(
    ReceiveStock,
    CommandPhase.OTHER,
    receive_stock,
    lambda command: stock_stream(command.sku),
)

OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(
        BookShipment,
        CommandPhase.ACTION,
        book_shipment,
        order_stream,
        refusals=("OUT_OF_STOCK", "UNDELIVERABLE_ADDRESS"),
    ),
    Operation(
        CancelShipment,
        CommandPhase.UNDO,
        cancel_shipment,
        order_stream,
        refusals=("SHIPMENT_ALREADY_DISPATCHED",),
        undoes=BookShipment,
    ),
    Operation(
        DispatchShipment,
        CommandPhase.ACTION,
        dispatch_shipment,
        order_stream,
        refusals=("SHIPMENT_NOT_BOOKED",),
        retriable=True,
    ),
    RECEIVE_STOCK,
)
