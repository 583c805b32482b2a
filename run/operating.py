"""The verbs for operators of event logs and consumers: how far they are, what is dead, and what to do about it."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from run import pretty
from run.caller import Caller
from run.databases import DatabaseName, require_migrated
from run.errors import CannotRun
from run.processes import ConsumerName
from run.settings import CONSUMERS, Settings, load_settings
from run.state import running_state

letters_verbs = typer.Typer(no_args_is_help=True, help="Events that a consumer could not take: list, replay, drop.")


class Parking(StrEnum):
    """Consumers that park what they cannot take. The others pass everything on."""

    VIEWS = "views"
    NOTIFICATIONS = "notifications"


def add_to(app: typer.Typer) -> None:
    for verb in (lag, rebuild, asyncapi):
        app.command()(verb)
    app.command("renew-log")(renew_log)
    app.add_typer(letters_verbs, name="dead-letters")


def lag() -> None:
    """Show how far each consumer is behind each service's log."""
    settings = load_settings()
    table = pretty.table("consumer", "status", "log", "position", "head", "lag", "parked streams")
    for name in (*CONSUMERS, *(["relay"] if settings.broker_url else []), "listener"):
        try:
            with _consumer(name, settings) as caller:
                found = caller.get("/health/ready").json()
        except CannotRun:
            table.add_row(name, "unreachable")
            continue
        for service, source in found["sources"].items():
            cells = (source["position"], source["head"], source["lag"], found["parked_streams"])
            table.add_row(name, found["status"], service, *("?" if cell is None else str(cell) for cell in cells))
    pretty.show(table)


def rebuild() -> None:
    """Build the query side anew from the event logs; the old one serves meanwhile."""
    with _consumer("views", load_settings()) as caller:
        caller.post("/rebuild")
    pretty.line(
        "Building a new generation; ./amends lag tells how far it is, and the views serve the old one until then."
    )


@letters_verbs.command("list")
def list_letters(consumer: Parking) -> None:
    """Show a consumer's parked streams, and the events that wait there."""
    with _consumer(consumer, load_settings()) as caller:
        found = caller.get("/dead-letters").json()
    parked = pretty.table("log", "parked stream", "version", "since", "reason")
    for row in found["parked"]:
        parked.add_row(row["service"], row["stream"], str(row["version"]), row["since"], escape(row["reason"]))
    pretty.show(parked)
    letters = pretty.table("event", "type", "reason")
    for letter in found["letters"]:
        letters.add_row(escape(letter["event"]["id"]), letter["event"]["type"], escape(letter["reason"]))
    pretty.show(letters)


@letters_verbs.command()
def replay(
    consumer: Parking,
    service: Annotated[
        str | None, typer.Argument(help="The log of the parked stream; all streams if left out.")
    ] = None,
    stream: Annotated[str | None, typer.Argument()] = None,
) -> None:
    """Take a parked stream's events again, in order; it goes on where all of them can be taken."""
    if (service is None) != (stream is None):
        raise CannotRun("name the log and the stream, or neither")
    body = {"service": service, "stream": stream} if service else None
    with _consumer(consumer, load_settings()) as caller:
        replayed = caller.post("/dead-letters/replay", json=body).json()
    for one in replayed:
        _say(one)
    if not replayed:
        pretty.line("No stream is parked.")
    if any(one["still_parked"] for one in replayed):
        raise typer.Exit(1)


@letters_verbs.command()
def drop(consumer: Parking, service: str, stream: str, version: int) -> None:
    """Give up for good on the event that parked a stream, and take those behind it."""
    which = {"service": service, "stream": stream, "version": version}
    with _consumer(consumer, load_settings()) as caller:
        dropped = caller.post("/dead-letters/drop", json=which).json()
    _say(dropped)
    if dropped["still_parked"]:
        raise typer.Exit(1)


class LogName(StrEnum):
    ORDER = "order"
    PAYMENT = "payment"
    SHIPPING = "shipping"


def renew_log(service: LogName) -> None:
    """Tell all consumers to begin anew with a service's log, after its database was restored from a back-up."""
    from services.kernel import event_log
    from services.kernel.database import Database

    settings = load_settings()
    require_migrated(settings, (DatabaseName(service),))
    database = Database(settings.database_url(service))
    with database.writing() as session:
        event_log.ensure_log_id(session)
        session.flush()
        log_id = event_log.renew_log_id(session)
    database.close()
    pretty.line(f"The {service} service's log is {log_id} from now on; its consumers begin anew.")


def asyncapi() -> None:
    """Print the AsyncAPI document of all public events, as JSON."""
    from messaging.asyncapi import document

    typer.echo(document(exchange=load_settings().rabbitmq_exchange))


def _say(replayed: dict[str, str]) -> None:
    taken = f"took {replayed['taken']} events of {replayed['service']} {replayed['stream']}"
    still = f"; it is still parked: {replayed['still_parked']}" if replayed["still_parked"] else "; it goes on"
    pretty.line(taken + still)


def _consumer(name: str, settings: Settings) -> Caller:
    given = getattr(settings, f"{name}_url")
    state = None if given else running_state(settings)
    if name in (ConsumerName.RELAY, ConsumerName.LISTENER):
        part = state.parts.get(name) if state else None
        return Caller(part.address if part else settings.service_url(name), setting=f"{name}_url")
    url: str = getattr(state.urls, name) if state else settings.service_url(name)
    return Caller(url, setting=f"{name}_url")
