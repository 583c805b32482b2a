"""Up, down, reset and status: the whole system on one machine."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import typer

from run.errors import AlreadyRunning, CannotRun, NotRunning
from run.parts import parts_of, ports_needed, ready_files
from run.ports import settle_ports
from run.settings import CONSUMERS, SERVICES, Settings, variable_of
from run.state import PartState, Process, State, Urls, forget_state, read_state, running_state, write_state
from run.supervisor import Limits, Supervisor

_LEFTOVER_GRACE_S = 10.0
_DOWN_MARGIN_S = 10.0
_DATABASES = tuple(f"{name}.db" for name in (*SERVICES, "gateway", *CONSUMERS, "relay", "listener", "temporal"))


def up(settings: Settings) -> None:
    """Starts everything, stays until it is told to stop, then stops everything.

    Raises:
        CannotRun: it cannot start; nothing it started is left running.
    """
    # The engine's module brings Temporal's SDK along, which the other verbs here do not need.
    from run.engine import find_cli

    began = time.monotonic()
    settings.saga_policy()
    cli = find_cli(settings) if settings.temporal_address is None else None
    with _sole_supervisor(settings):
        _end_leftovers(settings)
        # Written by a worker of an earlier run, whose id the new one may get, in a container for instance.
        for ready_file in ready_files(settings).values():
            ready_file.unlink(missing_ok=True)
        settled = settle_ports(settings, ports_needed(settings))
        state = State(supervisor=Process.of(os.getpid()), urls=_urls(settled), parts={})

        def record(parts: dict[str, PartState]) -> None:
            state.parts = parts
            try:
                write_state(settings, state)
            except OSError as error:
                # A full disk is no reason to stop what still runs.
                say(f"cannot record what runs in {settings.data_dir}: {error.strerror}")

        def announce() -> None:
            state.ready = True
            record(state.parts)
            say(_greeting(settled, state.urls, time.monotonic() - began))

        supervisor = Supervisor(
            parts_of(settled, cli),
            log_dir=settings.data_dir / "logs",
            limits=Limits(settings.start_timeout_s, settings.stop_timeout_s, settings.log_max_bytes),
            say=lambda message: say(f"{time.strftime('%H:%M:%S')} {message}"),
            record=record,
        )
        say("Starting Amends …")
        try:
            asyncio.run(_supervise(supervisor, announce))
        finally:
            forget_state(settings)
    say("Stopped.")


def down(settings: Settings) -> None:
    """Stops what `up` started with the same data folder. Stopping what does not run is no error.

    Raises:
        CannotRun: it does not stop in time.
    """
    state = read_state(settings)
    supervisor = state.supervisor.find() if state else None
    if state is None or supervisor is None:
        say("Stopped what an earlier run had left behind." if _end_leftovers(settings) else "Nothing is running.")
        return
    supervisor.terminate()
    if not state.supervisor.wait(len(state.parts) * settings.stop_timeout_s + _DOWN_MARGIN_S):
        raise CannotRun(f"the supervisor, process {supervisor.pid}, is still stopping its parts")
    say("Stopped.")


def reset(settings: Settings) -> None:
    """Stops everything and deletes every database, log and record in the data folder, but nothing that is not ours."""
    down(settings)
    with _sole_supervisor(settings):
        folder = settings.data_dir
        logs = [path for path in (folder / "logs").iterdir() if path.suffix in (".log", ".1")]
        databases = [path for name in _DATABASES for path in folder.glob(f"{name}*")]
        for path in (*logs, *databases):
            path.unlink()
    say(f"Deleted {len(databases)} database files and {len(logs)} logs in {settings.data_dir}.")


def require_running(settings: Settings) -> State:
    """The record of the running system.

    Raises:
        NotRunning: there is none.
    """
    state = running_state(settings)
    if state is None:
        raise NotRunning(f"nothing is running on {settings.data_dir}; make up starts it")
    return state


def say(message: str) -> None:
    """One message to the people at the terminal."""
    # Nobody may be listening any more; the system does not end for that.
    with contextlib.suppress(OSError):
        typer.echo(message)


async def _supervise(supervisor: Supervisor, announce: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Who started us with nohup wants us to survive the terminal.
        if signal.getsignal(signum) != signal.SIG_IGN:
            loop.add_signal_handler(signum, supervisor.stop)
    await supervisor.run(announce)


@contextlib.contextmanager
def _sole_supervisor(settings: Settings) -> Iterator[None]:
    """Holds the data folder. The system lets go of it when the process ends, however it ends."""
    run_dir = settings.data_dir / "run"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        (settings.data_dir / "logs").mkdir(exist_ok=True)
        lock = (run_dir / "lock").open("a")
        (run_dir / "probe").touch()
        (run_dir / "probe").unlink()
    except OSError as error:
        raise CannotRun(
            f"cannot write to {error.filename or run_dir}: {error.strerror}; "
            f"set {variable_of('data_dir')} to a folder that this user may write to"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = read_state(settings)
            who = f" (process {state.supervisor.pid})" if state else ""
            raise AlreadyRunning(
                f"already running on {settings.data_dir}{who}; ./amends down stops it, "
                f"and another {variable_of('data_dir')}, with other ports, runs a second one"
            ) from None
        yield


def _end_leftovers(settings: Settings) -> int:
    """Ends what a killed supervisor left behind. Says how many processes that were."""
    state = read_state(settings)
    if state is None:
        return 0
    left = [part.process for part in state.parts.values() if part.process and part.process.find()]
    for process in left:
        # A frozen process takes no notice until it is continued.
        _signal(process, signal.SIGTERM, signal.SIGCONT)
    deadline = time.monotonic() + _LEFTOVER_GRACE_S
    for process in left:
        if not process.wait(deadline - time.monotonic()):
            _signal(process, signal.SIGKILL)
            process.wait(_LEFTOVER_GRACE_S)
    forget_state(settings)
    return len(left)


def _signal(process: Process, *signums: signal.Signals) -> None:
    for signum in signums:
        with contextlib.suppress(psutil.NoSuchProcess):
            if found := process.find():
                found.send_signal(signum)


def _urls(settings: Settings) -> Urls:
    return Urls(
        api=settings.url_of(settings.api_port),
        temporal=settings.engine_address,
        temporal_ui=settings.engine_ui_url,
        order=settings.service_url("order"),
        payment=settings.service_url("payment"),
        shipping=settings.service_url("shipping"),
        views=settings.service_url("views"),
        notifications=settings.service_url("notifications"),
    )


def _greeting(settings: Settings, urls: Urls, took_s: float) -> str:
    return f"""\
Amends is ready, after {took_s:.1f} s.

  API           {urls.api}/docs
  Query side    {urls.views}/docs
  Temporal      {urls.temporal_ui}/namespaces/{settings.namespace}/workflows
  Logs          {settings.data_dir / "logs"}

Try it:

  curl -s {urls.api}/orders -H 'Content-Type: application/json' -H 'Prefer: wait=10' -d @examples/order.json
  ./amends order examples/order.json --wait 10
  ./amends --help

Ctrl-C stops everything."""
