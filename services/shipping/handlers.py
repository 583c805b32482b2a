"""Takes the shipping service's commands to its domain: one transaction for a shipment and all stock it moves."""

from collections.abc import Callable
from typing import TypeVar

from contracts.commands import (
    BookShipment,
    CancelRecall,
    CancelShipment,
    Command,
    DispatchShipment,
    RecallShipment,
    ReceiveShipment,
    ReceiveStock,
)
from contracts.orders import Carrier
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
    SHIPMENT_UPCASTERS,
    STOCK_EVENTS,
    STOCK_UPCASTERS,
    ShipmentEvent,
    StockEvent,
    StockReceived,
)
from services.shipping.public import STOCK_PREFIX, announce_shipment, announce_stock
from services.shipping.stock import Stock

C = TypeVar("C", bound=Command)

SHIPMENT: Aggregate[Shipment, ShipmentEvent] = Aggregate(
    Shipment(), domain.evolve, SHIPMENT_EVENTS, announce=announce_shipment, upcasters=SHIPMENT_UPCASTERS
)
STOCK: Aggregate[Stock, StockEvent] = Aggregate(
    Stock(), stock.evolve, STOCK_EVENTS, prefix=STOCK_PREFIX, announce=announce_stock, upcasters=STOCK_UPCASTERS
)


def stock_stream(sku: str) -> str:
    return STOCK.prefix + sku


def book_shipment(command: BookShipment, unit: UnitOfWork) -> Outcome | Refusal:
    stream = order_stream(command)
    shipment = unit.load(SHIPMENT, stream)
    on_shelves = {sku: unit.load(STOCK, stock_stream(sku)).state for sku in domain.units_of(command)}
    decision = domain.book(shipment.state, on_shelves, command)
    if isinstance(decision, Refusal):
        return decision
    _move(unit, stream, shipment, decision)
    return Outcome.ACCEPTED if command.carrier is Carrier.BY_EVENT else Outcome.DONE


def conclude_booking(stream: str, declined: Refusal | None, unit: UnitOfWork) -> Outcome | Refusal:
    """The second half of a booking that was accepted: the carrier has answered."""
    shipment = unit.load(SHIPMENT, stream)
    _move(unit, stream, shipment, domain.conclude(shipment.state, stream, declined))
    return declined or Outcome.DONE


def handler_of(
    decide: Callable[[Shipment, C], Movement | Refusal | None],
) -> Callable[[C, UnitOfWork], Outcome | Refusal]:
    """A handler that loads the shipment, decides, and moves it with its units."""

    def handle(command: C, unit: UnitOfWork) -> Outcome | Refusal:
        stream = order_stream(command)
        shipment = unit.load(SHIPMENT, stream)
        decision = decide(shipment.state, command)
        if decision is None:
            return Outcome.NOTHING_TO_UNDO
        if isinstance(decision, Refusal):
            return decision
        _move(unit, stream, shipment, decision)
        return Outcome.DONE

    return handle


def receive_stock(command: ReceiveStock, unit: UnitOfWork) -> Outcome:
    stream = stock_stream(command.sku)
    version = unit.load(STOCK, stream).version
    unit.append(STOCK, stream, [StockReceived(command.quantity, unit.key)], expected_version=version)
    return Outcome.DONE


def _move(unit: UnitOfWork, stream: str, shipment: Versioned[Shipment], movement: Movement) -> None:
    unit.append(SHIPMENT, stream, [movement.shipment], expected_version=shipment.version)
    for sku, event in movement.stock.items():
        shelf = stock_stream(sku)
        unit.append(STOCK, shelf, [event], expected_version=unit.load(STOCK, shelf).version)


RECEIVE_STOCK = Operation(
    ReceiveStock,
    CommandPhase.OTHER,
    receive_stock,
    lambda command: stock_stream(command.sku),
)

BOOK_SHIPMENT = Operation(
    BookShipment,
    CommandPhase.ACTION,
    book_shipment,
    order_stream,
    refusals=("OUT_OF_STOCK", "UNDELIVERABLE_ADDRESS"),
)

OPERATIONS: tuple[AnyOperation, ...] = (
    BOOK_SHIPMENT,
    Operation(
        CancelShipment,
        CommandPhase.UNDO,
        handler_of(domain.cancel),
        order_stream,
        refusals=("SHIPMENT_ALREADY_DISPATCHED",),
        undoes=BookShipment,
    ),
    Operation(
        DispatchShipment,
        CommandPhase.ACTION,
        handler_of(domain.dispatch),
        order_stream,
        refusals=("SHIPMENT_NOT_BOOKED",),
        retriable=True,
    ),
    Operation(
        RecallShipment,
        CommandPhase.ACTION,
        handler_of(domain.recall),
        order_stream,
        refusals=("SHIPMENT_NOT_DISPATCHED", "RECALL_UNDER_WAY", "ALREADY_RETURNED"),
    ),
    Operation(
        CancelRecall,
        CommandPhase.UNDO,
        handler_of(domain.cancel_recall),
        order_stream,
        refusals=("SHIPMENT_ALREADY_RETURNED",),
        undoes=RecallShipment,
    ),
    Operation(
        ReceiveShipment,
        CommandPhase.ACTION,
        handler_of(domain.receive),
        order_stream,
        refusals=("SHIPMENT_NOT_RECALLED",),
        retriable=True,
    ),
    RECEIVE_STOCK,
)
