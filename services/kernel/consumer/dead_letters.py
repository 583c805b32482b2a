"""Dead letters in the consumer's own database: for consumers that follow the feed."""

from collections.abc import Sequence

from sqlalchemy import tuple_
from sqlmodel import col, delete, select

from contracts.events import PublicEvent
from messaging.port import DeadLetter
from services.kernel.consumer.not_now import not_now_if_busy
from services.kernel.consumer.tables import DeadLetterRow
from services.kernel.database import Database

_ROW = DeadLetterRow


class TableOfDeadLetters:
    """Implements `DeadLetters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, letter: DeadLetter) -> None:
        await self.remove([letter])
        event = letter.event
        with not_now_if_busy(), self._database.writing() as session:
            session.add(
                DeadLetterRow(
                    generation=letter.generation,
                    service=event.service,
                    log_id=event.logid,
                    stream=event.stream,
                    version=event.streamversion,
                    event=event.model_dump(mode="json", exclude_none=True),
                    reason=letter.reason,
                    at=letter.at,
                )
            )

    async def letters(self) -> list[DeadLetter]:
        with not_now_if_busy(), self._database.reading() as session:
            rows = session.exec(select(DeadLetterRow).order_by(col(DeadLetterRow.place))).all()
            return [DeadLetter(PublicEvent.model_validate(r.event), r.reason, r.at, r.generation) for r in rows]

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        key = tuple_(*map(col, (_ROW.generation, _ROW.service, _ROW.log_id, _ROW.stream, _ROW.version)))
        with not_now_if_busy(), self._database.writing() as session:
            for letter in letters:
                session.exec(delete(DeadLetterRow).where(key == letter.identity))
