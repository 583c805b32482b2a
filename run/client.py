"""The verbs that talk to a running system, over its HTTP API, as any other client does."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import typer
from rich.console import Console
from rich.table import Table

from run.errors import CannotRun
from run.settings import Settings, load_settings
from run.state import running_state

_TIMEOUT_S = 10.0

OrderId = Annotated[str, typer.Argument(help="The order's id, as `order` prints it.")]


def add_to(app: typer.Typer) -> None:
    pass
