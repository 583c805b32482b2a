"""The payment service: what was held, captured and let go for each order."""

from fastapi import FastAPI

from services.kernel.app import Service, create_service_app
from services.kernel.database import Database
from services.payment.gateway_simulator import PaymentGatewaySimulator
from services.payment.handlers import PAYMENT, operations


def create_app(
    *, database_url: str, gateway_database_url: str, fault_injection: bool, gateway_reply_delay_s: float = 0
) -> FastAPI:
    """The service as an ASGI app, with the simulator as its gateway."""
    gateway = PaymentGatewaySimulator(Database(gateway_database_url), reply_delay_s=gateway_reply_delay_s)
    return create_service_app(
        Service(
            name="payment",
            database=Database(database_url),
            operations=operations(gateway),
            aggregates=(PAYMENT,),
            fault_injection=fault_injection,
            routers=(gateway.routes(),),
            on_stop=gateway.close,
        )
    )
