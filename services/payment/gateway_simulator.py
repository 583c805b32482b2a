"""The built-in payment gateway: decides by card token, as real gateways' test cards do, and keeps its own books.

Its database is its own, as if it were another company's: nothing is shared with the payment service but the port.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import String, Subquery, cast, false, func, literal
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, select

from contracts.audits import BookEntry, BookTotal
from contracts.base import Sought
from services.kernel.book_totals import MAX_ENTRIES, Prefix, entries, totals
from services.kernel.columns import BigInt, one_of
from services.kernel.database import Database
from services.kernel.schema import Schema
from services.payment.gateway import (
    AuthorizationAnswer,
    CaptureAnswer,
    RefundAnswer,
    Refunded,
    VoidAnswer,
    Voided,
)

T = TypeVar("T")

EXPIRES_BEFORE_CAPTURE = "tok_expires_before_capture"
REFUND_REFUSED = "tok_refund_refused"


class HoldState(StrEnum):
    HELD = "held"
    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    VOIDED = "voided"
    """With amount 0: the key was voided before it was seen."""
    EXPIRED = "expired"
    CAPTURED = "captured"


class GatewayHold(SQLModel, table=True):
    __tablename__ = "gateway_holds"

    key: str = Field(primary_key=True)
    reference: str = Field(index=True)
    state: HoldState = Field(sa_type=one_of(HoldState))
    amount_minor: int = Field(default=0, sa_type=BigInt)
    """What was really held, so 0 for a declined card."""
    currency: str = ""
    expires_before_capture: bool = False
    refuses_refunds: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class GatewayCapture(SQLModel, table=True):
    __tablename__ = "gateway_captures"

    key: str = Field(primary_key=True)
    reference: str = Field(index=True)
    answer: CaptureAnswer = Field(sa_type=one_of(CaptureAnswer))
    amount_minor: int = Field(default=0, sa_type=BigInt)


class GatewayRefund(SQLModel, table=True):
    __tablename__ = "gateway_refunds"

    key: str = Field(primary_key=True)
    reference: str = Field(index=True)
    authorization: str | None = Field(default=None, index=True)
    """None where the key was cancelled before it was seen."""
    answer: RefundAnswer = Field(sa_type=one_of(RefundAnswer))
    amount_minor: int = Field(default=0, sa_type=BigInt)


GATEWAY_SCHEMA = Schema(
    (GatewayHold, GatewayCapture, GatewayRefund), "gateway_0002", Path(__file__).parent / "migrations"
)


def _books_of_all() -> Subquery:
    """Holds, and captures and refunds beside them, in the words that the audit compares books with."""
    holds = select_columns(
        col(GatewayHold.reference).label("order_id"),
        col(GatewayHold.key).label("key"),
        func.lower(cast(col(GatewayHold.state), String)).label("state"),
        col(GatewayHold.currency).label("currency"),
        col(GatewayHold.amount_minor).label("amount_minor"),
    )
    captures = select_columns(
        col(GatewayCapture.reference),
        col(GatewayCapture.key),
        literal("taken"),
        literal(""),
        col(GatewayCapture.amount_minor),
    )
    refunds = select_columns(
        col(GatewayRefund.reference),
        col(GatewayRefund.key),
        literal("refunded"),
        literal(""),
        col(GatewayRefund.amount_minor),
    )
    return holds.union_all(captures, refunds).subquery()


_BOOKS = _books_of_all()
Limit = Annotated[int, Query(ge=1, le=MAX_ENTRIES)]


class GatewayBooks(BaseModel):
    """What the gateway knows about one order."""

    order_id: str
    holds: list[GatewayHold]
    captures: list[GatewayCapture]
    refunds: list[GatewayRefund]


class PaymentGatewaySimulator:
    """Implements `PaymentGateway`.

    Args:
        reply_delay_s: how long each answer takes after it is in the books, so that a test can die in between.
    """

    def __init__(self, database: Database, *, reply_delay_s: float = 0) -> None:
        self._database = database
        self._reply_delay_s = reply_delay_s

    def close(self) -> None:
        self._database.close()

    async def authorize(
        self, key: str, *, reference: str, amount_minor: int, currency: str, token: str
    ) -> AuthorizationAnswer:
        def authorize(session: Session) -> AuthorizationAnswer:
            hold = session.get(GatewayHold, key)
            if hold is None:
                state = _decide(token)
                hold = GatewayHold(
                    key=key,
                    reference=reference,
                    state=state,
                    amount_minor=amount_minor if state is HoldState.HELD else 0,
                    currency=currency,
                    expires_before_capture=token == EXPIRES_BEFORE_CAPTURE,
                    refuses_refunds=token == REFUND_REFUSED,
                )
                session.add(hold)
            return _authorization_answer(hold.state)

        return await self._answer(authorize)

    async def void(self, key: str, *, reference: str) -> Voided:
        return await self._answer(lambda session: _void(session, key, reference))

    async def capture(self, key: str, *, reference: str, authorization: str) -> CaptureAnswer:
        return await self._answer(lambda session: _capture(session, key, reference, authorization))

    async def cancel_capture(self, key: str, *, reference: str) -> CaptureAnswer:
        return await self._answer(lambda session: _cancel_capture(session, key, reference))

    async def refund(self, key: str, *, reference: str, authorization: str) -> Refunded:
        return await self._answer(lambda session: _refund(session, key, reference, authorization))

    async def cancel_refund(self, key: str, *, reference: str) -> Refunded:
        return await self._answer(lambda session: _cancel_refund(session, key, reference))

    async def _answer(self, act: Callable[[Session], T]) -> T:
        answer = await self._database.write(act)
        await asyncio.sleep(self._reply_delay_s)
        return answer

    async def books(self, reference: str) -> GatewayBooks:
        return await self._database.read(lambda session: _books(session, reference))

    def routes(self) -> APIRouter:
        router = APIRouter(prefix="/gateway", tags=["gateway simulator"])

        @router.get("/books/{order_id}")
        async def read_books(order_id: Sought) -> GatewayBooks:
            """What the gateway's own books say about an order; an order it never heard of has none."""
            return await self.books(order_id)

        @router.get("/totals")
        async def read_totals(prefix: Prefix = "") -> list[BookTotal]:
            """The sums of the gateway's own books over orders whose ids begin alike, by the ids' next characters."""
            return await self._database.read(lambda session: totals(session, _BOOKS, prefix))

        @router.get("/entries")
        async def read_entries(prefix: Prefix = "", limit: Limit = MAX_ENTRIES) -> list[BookEntry]:
            """The orders whose ids begin so, as the gateway's own books have them."""
            return await self._database.read(lambda session: entries(session, _BOOKS, prefix, limit))

        return router


def _decide(token: str) -> HoldState:
    """An unknown card is declined."""
    match token:
        case "tok_visa" | "tok_expires_before_capture" | "tok_refund_refused":
            return HoldState.HELD
        case "tok_insufficient_funds":
            return HoldState.INSUFFICIENT_FUNDS
        case _:
            return HoldState.DECLINED


def _authorization_answer(state: HoldState) -> AuthorizationAnswer:
    match state:
        case HoldState.DECLINED:
            return AuthorizationAnswer.DECLINED
        case HoldState.INSUFFICIENT_FUNDS:
            return AuthorizationAnswer.INSUFFICIENT_FUNDS
        case HoldState.VOIDED:
            return AuthorizationAnswer.VOIDED
        case _:
            return AuthorizationAnswer.HELD  # as it was answered then, whatever became of the hold since


def _void(session: Session, key: str, reference: str) -> Voided:
    hold = session.get(GatewayHold, key)
    if hold is None:
        session.add(GatewayHold(key=key, reference=reference, state=HoldState.VOIDED))
        return Voided(VoidAnswer.NOTHING_HELD)
    if hold.state is HoldState.HELD:
        hold.state = HoldState.VOIDED
        session.add(hold)
    if not hold.amount_minor:
        return Voided(VoidAnswer.NOTHING_HELD)
    return Voided(VoidAnswer(hold.state), hold.amount_minor, hold.currency)


def _capture(session: Session, key: str, reference: str, authorization: str) -> CaptureAnswer:
    capture = session.get(GatewayCapture, key)
    if capture is None:
        capture = GatewayCapture(key=key, reference=reference, answer=CaptureAnswer.NOT_HELD)
        hold = session.get(GatewayHold, authorization)
        if hold is not None and hold.state is HoldState.HELD:
            _take(hold, capture)
            session.add(hold)
        session.add(capture)
    return capture.answer


def _take(hold: GatewayHold, capture: GatewayCapture) -> None:
    if hold.expires_before_capture:
        hold.state, capture.answer = HoldState.EXPIRED, CaptureAnswer.EXPIRED
        return
    hold.state, capture.answer, capture.amount_minor = HoldState.CAPTURED, CaptureAnswer.CAPTURED, hold.amount_minor


def _cancel_capture(session: Session, key: str, reference: str) -> CaptureAnswer:
    capture = session.get(GatewayCapture, key)
    if capture is None:
        capture = GatewayCapture(key=key, reference=reference, answer=CaptureAnswer.CANCELLED)
        session.add(capture)
    return capture.answer


def _refund(session: Session, key: str, reference: str, authorization: str) -> Refunded:
    refund = session.get(GatewayRefund, key)
    if refund is None:
        hold = session.get(GatewayHold, authorization)
        answer = _refund_answer(session, hold)
        amount_minor = hold.amount_minor if hold and answer is RefundAnswer.REFUNDED else 0
        refund = GatewayRefund(
            key=key, reference=reference, authorization=authorization, answer=answer, amount_minor=amount_minor
        )
        session.add(refund)
    return Refunded(refund.answer, refund.amount_minor)


def _refund_answer(session: Session, hold: GatewayHold | None) -> RefundAnswer:
    if hold is None or hold.state is not HoldState.CAPTURED:
        return RefundAnswer.NOT_CAPTURED
    if hold.refuses_refunds:
        return RefundAnswer.REFUSED
    refunds = session.exec(select(GatewayRefund).where(col(GatewayRefund.authorization) == hold.key)).all()
    refunded = any(refund.answer is RefundAnswer.REFUNDED for refund in refunds)
    return RefundAnswer.ALREADY_REFUNDED if refunded else RefundAnswer.REFUNDED


def _cancel_refund(session: Session, key: str, reference: str) -> Refunded:
    refund = session.get(GatewayRefund, key)
    if refund is None:
        refund = GatewayRefund(key=key, reference=reference, answer=RefundAnswer.CANCELLED)
        session.add(refund)
    return Refunded(refund.answer, refund.amount_minor)


def _books(session: Session, reference: str) -> GatewayBooks:
    holds = session.exec(select(GatewayHold).where(col(GatewayHold.reference) == reference)).all()
    captures = session.exec(select(GatewayCapture).where(col(GatewayCapture.reference) == reference)).all()
    refunds = session.exec(select(GatewayRefund).where(col(GatewayRefund.reference) == reference)).all()
    return GatewayBooks(order_id=reference, holds=list(holds), captures=list(captures), refunds=list(refunds))
