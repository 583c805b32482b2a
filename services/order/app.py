"""The order service: what was ordered, and what became of it."""

from fastapi import FastAPI

from services.kernel.app import Service, create_service_app
from services.kernel.database import Database
from services.order.handlers import OPERATIONS, ORDER


def create_app(*, database_url: str, fault_injection: bool) -> FastAPI:
    return create_service_app(
        Service(
            name="order",
            database=Database(database_url),
            operations=OPERATIONS,
            aggregates=(ORDER,),
            fault_injection=fault_injection,
        )
    )
