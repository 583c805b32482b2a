"""The engine verb: the Temporal dev server in the foreground, its namespace made ready."""

import asyncio
import signal
import subprocess
from datetime import timedelta

import typer

from run.engine import connect, engine_command, find_cli, prepare_namespace
from run.errors import CannotRun
from run.ports import settle_ports
from run.settings import Settings

_START_WITHIN_S = 30.0
_PORTS = ["engine_port", "engine_ui_port", "engine_http_port", "engine_metrics_port"]


def run_engine(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT. Returns the server's exit code.

    Raises:
        CannotRun: there is no Temporal CLI, a port is taken, or the data folder cannot be written to.
    """
    cli = find_cli(settings)
    settled = settle_ports(settings, _PORTS).model_copy(update={"temporal_address": None})
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"cannot write to {settings.data_dir}: {error.strerror}") from None
    # In a session of its own: Ctrl-C reaches it through us, once.
    server = subprocess.Popen(engine_command(settled, cli), start_new_session=True)  # noqa: S603
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: server.terminate())
    try:
        asyncio.run(_prepare(settled, server))
        return server.wait()
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


async def _prepare(settings: Settings, server: "subprocess.Popen[bytes]") -> None:
    preparing = asyncio.create_task(_prepare_namespace(settings))
    while not preparing.done() and server.poll() is None:
        await asyncio.sleep(0.05)
    if not preparing.done():
        preparing.cancel()
        return
    preparing.result()
    typer.echo(f"amends-engine listening on {settings.engine_address}, Web UI at {settings.engine_ui_url}")


async def _prepare_namespace(settings: Settings) -> None:
    client = await connect(settings, within_s=_START_WITHIN_S)
    retention = timedelta(days=settings.retention_days)
    await prepare_namespace(client, retention=retention, within_s=_START_WITHIN_S)
