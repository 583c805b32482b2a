"""What an operator does about a consumer: look at its dead letters, replay or drop them, rebuild a read model."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints
from starlette.status import HTTP_202_ACCEPTED

from messaging.port import DeadLetters
from services.kernel.consumer.consumer import Consumer, Replayed
from services.kernel.consumer.read_model import ReadModel

Name = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Printable; a stream's name is its prefix and an id."""


class StreamName(BaseModel):
    service: Name
    stream: Name


class EventName(StreamName):
    version: Annotated[int, Field(ge=1, le=2**63 - 1)]


class Letter(BaseModel):
    event: dict[str, Any]
    reason: str
    at: datetime


class ParkedStream(StreamName):
    version: int
    """Of the event that could not be taken."""
    reason: str
    since: datetime


class LettersView(BaseModel):
    parked: list[ParkedStream]
    letters: list[Letter]


class ReplayView(StreamName):
    taken: int
    still_parked: str | None


class RebuildView(BaseModel):
    rebuilding: bool
    generation: int
    """The one that serves now."""


def dead_letter_routes(consumer: Callable[[], Consumer], dead_letters: DeadLetters) -> APIRouter:
    router = APIRouter(prefix="/dead-letters", tags=["operators"])

    @router.get("")
    async def list_dead_letters() -> LettersView:
        """The parked streams, and the dead letters in the order in which they were put aside."""
        active = consumer()
        return LettersView(
            parked=[
                ParkedStream(service=r.service, stream=r.stream, version=r.next_version, reason=r.reason, since=r.since)
                for r in await active.parked()
            ],
            letters=[
                Letter(event=found.event.model_dump(mode="json", exclude_none=True), reason=found.reason, at=found.at)
                for found in await dead_letters.letters()
                if found.generation == active.generation
            ],
        )

    @router.post("/replay")
    async def replay(which: StreamName | None = None) -> list[ReplayView]:
        """Takes the dead letters of one parked stream, or of all, again, in order."""
        active = consumer()
        parked = [which] if which else [StreamName(service=r.service, stream=r.stream) for r in await active.parked()]
        return [_view(await active.replay(stream.service, stream.stream)) for stream in parked]

    @router.post("/drop")
    async def drop(which: EventName) -> ReplayView:
        """Gives up for good on the event that parked a stream, and takes those behind it."""
        return _view(await consumer().drop(which.service, which.stream, which.version))

    return router


def rebuild_route(read_model: ReadModel) -> APIRouter:
    router = APIRouter(tags=["operators"])

    @router.post("/rebuild", status_code=HTTP_202_ACCEPTED)
    async def rebuild() -> RebuildView:
        """Begins to build the read model anew; the old one serves meanwhile. Asked again, it goes on with the first."""
        read_model.start_rebuild()
        return RebuildView(rebuilding=True, generation=read_model.active.generation)

    return router


def _view(replayed: Replayed) -> ReplayView:
    return ReplayView(
        service=replayed.service, stream=replayed.stream, taken=replayed.taken, still_parked=replayed.still_parked
    )
