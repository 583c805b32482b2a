"""Dead letters in the consumer's own database: for consumers that follow the feed."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import tuple_
from sqlmodel import Session, col, delete, select

from contracts.events import PublicEvent
from messaging.port import DeadLetter
from services.kernel.consumer.not_now import read_or_not_now, write_or_not_now
from services.kernel.consumer.tables import DeadLetterRow
from services.kernel.database import Database

_ROW = DeadLetterRow


class TableOfDeadLetters:
    """Implements `DeadLetters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, letter: DeadLetter) -> None:
        def put(session: Session) -> None:
            _remove([letter], session)
            session.add(_row_of(letter))

        await write_or_not_now(self._database, put)

    async def letters(self) -> list[DeadLetter]:
        return await read_or_not_now(self._database, _letters)

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        await write_or_not_now(self._database, partial(_remove, letters))


def _letters(session: Session) -> list[DeadLetter]:
    rows = session.exec(select(DeadLetterRow).order_by(col(DeadLetterRow.place))).all()
    return [DeadLetter(PublicEvent.model_validate(r.event), r.reason, r.at, r.generation) for r in rows]


def _remove(letters: Sequence[DeadLetter], session: Session) -> None:
    key = tuple_(*map(col, (_ROW.generation, _ROW.service, _ROW.log_id, _ROW.stream, _ROW.version)))
    for letter in letters:
        session.exec(delete(DeadLetterRow).where(key == letter.identity))


def _row_of(letter: DeadLetter) -> DeadLetterRow:
    event = letter.event
    return DeadLetterRow(
        generation=letter.generation,
        service=event.service,
        log_id=event.logid,
        stream=event.stream,
        version=event.streamversion,
        event=event.model_dump(mode="json", exclude_none=True),
        reason=letter.reason,
        at=letter.at,
    )
