"""What every saga of ours is started with, as far as those need to know it who start and show sagas of any kind."""

from typing import Protocol
from uuid import UUID

from contracts.base import Contract
from contracts.options import SagaOptions
from contracts.policy import Policy


class Ordered(Protocol):
    """What there is to show of the order that a saga is about."""

    @property
    def customer_id(self) -> str: ...
    @property
    def total_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...


class SagaInput(Contract):
    """A kind of saga adds the fields that its commands are built from, and says what those below are."""

    order_id: UUID
    policy: Policy = Policy()

    @property
    def saga_id(self) -> str:
        """Its workflow id."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """What the saga is of, in words that follow on "the saga of"."""
        raise NotImplementedError

    @property
    def request(self) -> SagaOptions:
        """What it was asked for with."""
        raise NotImplementedError

    @property
    def ordered(self) -> Ordered:
        raise NotImplementedError
