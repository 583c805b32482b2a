"""Why an event cannot be taken into the views; its stream is parked until an operator has looked.

UnbookableEvent   what it says is readable, and cannot follow on what came before
"""

from contracts.events import PublicEvent


class UnbookableEvent(Exception):
    def __init__(self, event: PublicEvent, expectation: str) -> None:
        super().__init__(f"{event.service} {event.id} ({event.type}): expected {expectation}")
