"""The invariants that hold for an order at any moment, whatever its saga is doing. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping

from api.audit.evidence import TAKEN, Evidence, money_of
from api.audit.service_events import events_of
from api.audit.verdicts import Verdict, verdict
from api.services import BarrierEntry, StoredEvent, Stream
from contracts.wire import Outcome

_TAKES_BACK = {
    "OrderRejected": "OrderPlaced",
    "PaymentVoided": "PaymentAuthorized",
    "ShipmentBookingRefused": "ShipmentRequested",
    "ShipmentWithdrawn": "ShipmentRequested",
    "ShipmentCancelled": "ShipmentBooked",
    "StockReturned": "StockBooked",
    "ReturnWithdrawn": "ReturnOpened",
    "ShipmentRecallCancelled": "ShipmentRecalled",
}
"""Each effect that takes another one back, under the same key."""
_EFFECTS = {
    *_TAKES_BACK,
    *_TAKES_BACK.values(),
    "PaymentCaptured",
    "OrderConfirmed",
    "ShipmentDispatched",
    "StockDispatched",
    "PaymentRefunded",
    "ShipmentReturned",
    "StockTakenBack",
    "OrderReturned",
}
_EFFECTS_OF_UNDO = {
    "RejectOrder": ("OrderPlaced",),
    "ReleasePayment": ("PaymentAuthorized",),
    "CancelShipment": TAKEN,
    "AbandonCapture": ("PaymentCaptured",),
    "WithdrawReturn": ("ReturnOpened",),
    "CancelRecall": ("ShipmentRecalled",),
    "AbandonRefund": ("PaymentRefunded",),
}
"""The effects that each compensation takes back, or each fence keeps from happening; any of them will do."""
_SUMS = ("received", "on_hand", "booked", "dispatched", "taken_back")
_ANSWERS = {"CancelShipment": ("ShipmentBookingRefused",)}
"""What else must not come any more: an answer to what was taken back."""
_TOMBSTONES = {Outcome.NOTHING_TO_UNDO.value, Outcome.FENCED.value}


def each_effect_once(evidence: Evidence) -> Verdict:
    effects = Counter(
        (stream.stream, event.type, event.key)
        for stream in _all_streams(evidence)
        for event in _ours(stream, evidence)
        if event.type in _EFFECTS
    )
    wrong = [f"{type_} {times} times for {key} in {name}" for (name, type_, key), times in effects.items() if times > 1]
    return verdict("at most one effect per saga, step and phase", wrong, f"{len(effects)} effects, each once")


def compensations_have_their_action(evidence: Evidence) -> Verdict:
    wrong = [
        f"{event.type} for {event.key}, but no {effect} before it"
        for stream in _all_streams(evidence)
        for undoing, effect in _TAKES_BACK.items()
        for event in _ours(stream, evidence)
        if event.type == undoing and not _has_before(stream, effect, event)
    ]
    seen = []
    for entry in _undos(evidence):
        effects = _EFFECTS_OF_UNDO[entry.command]
        happened = next(_events(evidence, effects, entry.key), None)
        if entry.outcome == Outcome.DONE and happened is None:
            wrong.append(f"{entry.command} for {entry.key} says done, but there was no {' or '.join(effects)}")
        elif entry.outcome in _TOMBSTONES and happened is not None and not _lapsed(evidence, entry.key):
            wrong.append(f"{entry.command} for {entry.key} says {entry.outcome}, but there is {happened.type}")
        else:
            what = "a tombstone" if happened is None else f"of {happened.type}, version {happened.version}"
            seen.append(f"{entry.command} for {entry.key} is {what}")
    name = "every compensation names its action or is a tombstone"
    return verdict(name, wrong, *(seen or ["there is no compensation"]))


def nothing_after_a_tombstone(evidence: Evidence) -> Verdict:
    wrong, barred = [], 0
    for entry in _undos(evidence):
        barred += 1
        kept_out = (*_EFFECTS_OF_UNDO[entry.command], *_ANSWERS.get(entry.command, ()))
        wrong += [
            f"{event.type} for {event.key} came after {entry.command}"
            for event in _events(evidence, kept_out, entry.key)
            if _came_after(event, entry)
        ]
    return verdict("no effect after its tombstone", wrong, f"{barred} actions are barred, none came later")


def money_adds_up(evidence: Evidence) -> Verdict:
    money = money_of(evidence.payment)
    line = (
        f"authorized {money.authorized} = captured {money.captured} + voided {money.voided}"
        f" + expired {money.expired} + held {money.held}"
    )
    wrong = [f"{astray}, which there is not" for astray in money.astray]
    wrong += [line] if money.held < 0 else []
    sums = {
        "authorized_minor": money.authorized,
        "captured_minor": money.captured,
        "voided_minor": money.voided,
        "expired_minor": money.expired,
        "held_minor": money.held,
    }
    wrong += [f"{line}, but the service says {stated}" for stated in _stated_otherwise(evidence.payment, sums)]
    return verdict("authorized money is captured, voided, expired or held", wrong, line)


def refunds_are_covered(evidence: Evidence) -> Verdict:
    money = money_of(evidence.payment)
    line = f"refunded {money.refunded} of {money.captured} captured"
    wrong = [line] if money.refunded > money.captured else []
    stated = ((evidence.payment and evidence.payment.state) or {}).get("refunded_minor", 0)
    wrong += [f"{line}, but the service says {stated}"] if stated != money.refunded else []
    return verdict("no more is refunded than was captured", wrong, line)


def stock_adds_up(evidence: Evidence) -> Verdict:
    """By what the service says of each SKU now. What ever moved of it is added up by the audit of everything."""
    wrong, seen = [], []
    for sku, stream in evidence.stock.items():
        state = stream.state or {}
        received, on_hand, booked, dispatched, taken_back = sums = [int(state.get(name, -1)) for name in _SUMS]
        line = (
            f"{sku}: received {received} = on hand {on_hand} + booked {booked} + dispatched {dispatched}"
            f" - taken back {taken_back}"
        )
        if missing := [name for name in _SUMS if name not in state]:
            wrong.append(f"{sku}: the service does not say how much is {', '.join(missing)}")
        elif received != on_hand + booked + dispatched - taken_back:
            wrong.append(line)
        elif min(*sums, dispatched - taken_back) < 0:
            wrong.append(f"{line}, and something is negative")
        seen.append(line)
    return verdict("stock adds up and is never negative", wrong, *(seen or ["no stock was touched"]))


def _stated_otherwise(stream: Stream | None, sums: Mapping[str, int]) -> Iterator[str]:
    """Which sums the service itself states differently from what its events add up to, or not at all."""
    if stream is None:
        return
    state = stream.state or {}
    yield from (f"{name} {state.get(name)}" for name, right in sums.items() if state.get(name) != right)


def _all_streams(evidence: Evidence) -> tuple[Stream, ...]:
    return (*evidence.streams, *evidence.stock.values())


def _ours(stream: Stream, evidence: Evidence) -> Iterator[StoredEvent]:
    """The stream's events about this order: a service of an older version shows others' moves of the stock as well."""
    for event in stream.events:
        if event.data.get("order_id", evidence.order_id) == evidence.order_id:
            yield event


def _undos(evidence: Evidence) -> Iterator[BarrierEntry]:
    """The compensations and fences that were taken, so that their actions are barred."""
    taken = {*_TOMBSTONES, Outcome.DONE.value}
    return (entry for entry in evidence.barrier if entry.command in _EFFECTS_OF_UNDO and entry.outcome in taken)


def _events(evidence: Evidence, event_types: tuple[str, ...], key: str) -> Iterator[StoredEvent]:
    """Those under a key, in the order of each stream."""
    found = (event for stream in evidence.streams for event in stream.events)
    return (event for event in found if event.type in event_types and event.key == key)


def _has_before(stream: Stream, effect: str, undoing: StoredEvent) -> bool:
    return any(
        event.type == effect and event.key == undoing.key and event.version < undoing.version for event in stream.events
    )


def _came_after(event: StoredEvent, entry: BarrierEntry) -> bool:
    """By their places in the service's log. Only of old entries these are not known, and clocks have to do."""
    if entry.position is not None:
        return event.position > entry.position
    # An undo may itself write down what it found at the gateway; that is not a late action.
    return event.command != entry.command and event.recorded_at > entry.recorded_at


def _lapsed(evidence: Evidence, key: str) -> bool:
    """Whether the effect ended by itself: then there was indeed nothing to undo."""
    if any(_events(evidence, ("ShipmentBookingRefused",), key)):
        return True
    return any(event.data.get("authorization") == key for event in events_of(evidence.payment, "PaymentExpired"))
