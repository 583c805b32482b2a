"""Why a proof or a chaos run cannot go on, which says nothing about the sagas."""


class CannotProve(Exception):
    """The system cannot be driven: it does not answer, or answers what nobody understands."""
