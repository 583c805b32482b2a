"""The record of what runs: `run/state.json` in the data folder, written by `up`, read by every other verb.

A process is known by its id and the time it was created, so that an id which the system gave to another process
meanwhile is never mistaken for ours, let alone ended.
"""

import json
import os
import time
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from run.settings import Settings

_POLL_S = 0.05
_CLOCK_TOLERANCE_S = 2.0
"""Creation times are derived from the boot time, which moves when the clock is set."""


class Process(BaseModel):
    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    def wait(self, timeout_s: float) -> bool:
        """Whether it ends within the time. One that ended and was not yet collected by its parent has ended."""
        deadline = time.monotonic() + timeout_s
        while self.find() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    @classmethod
    def of(cls, pid: int) -> "Process":
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The very same process, if it still runs."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < _CLOCK_TOLERANCE_S
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class Condition(StrEnum):
    """Of a part."""

    WAITING = "waiting"
    """For another part, before it can start."""
    STARTING = "starting"
    HEALTHY = "healthy"
    DEAD = "dead"
    """Until it is started again."""
    DONE = "done"
    """It had one thing to do, and did it."""


class PartState(BaseModel):
    condition: Condition = Condition.WAITING
    process: Process | None = None
    address: str = ""
    """Where it listens: a URL, or host:port for the engine."""
    log: Path
    restarts: int = 0


class Urls(BaseModel):
    model_config = ConfigDict(frozen=True)

    api: str
    temporal: str
    """As host:port, for gRPC."""
    temporal_ui: str
    order: str
    payment: str
    shipping: str
    views: str
    notifications: str


class State(BaseModel):
    supervisor: Process
    ready: bool = False
    """Whether every part was healthy at once."""
    urls: Urls
    parts: dict[str, PartState]


def state_file(settings: Settings) -> Path:
    return settings.data_dir / "run" / "state.json"


def read_state(settings: Settings) -> State | None:
    """What is on record; whether it still runs is another question."""
    try:
        return State.model_validate_json(state_file(settings).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValidationError, json.JSONDecodeError):
        # Written by another version of us, or torn by a power loss. Nothing in it can be relied upon.
        return None


def running_state(settings: Settings) -> State | None:
    """The record, if its supervisor is alive."""
    state = read_state(settings)
    return state if state is not None and state.supervisor.find() is not None else None


def write_state(settings: Settings, state: State) -> None:
    """Readers see the old record or the new one, never a part of it."""
    path = state_file(settings)
    draft = path.with_suffix(".tmp")
    draft.write_text(state.model_dump_json(indent=1))
    os.replace(draft, path)  # noqa: PTH105 - reads better than Path.replace


def forget_state(settings: Settings) -> None:
    state_file(settings).unlink(missing_ok=True)
