"""The verb of chaos runs: kills the parts of the running system, and cuts its connections, while customers order."""

import asyncio
from pathlib import Path
from random import Random
from typing import Annotated
from uuid import uuid4

import typer

from proof.chaos import PLENTY, SCARCE, Chaos, ChaosReport
from proof.doors import Doors
from proof.errors import CannotProve
from proof.subjects import SUBJECTS
from run import pretty
from run.client import receive_stock
from run.disturbance import Disturbance
from run.errors import CannotRun
from run.settings import Settings, load_settings, variable_of
from run.state import State
from run.system import require_running


def add_to(app: typer.Typer) -> None:
    app.command()(chaos)


def chaos(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long customers order and parts are killed.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Chooses orders, faults and kills; a new one if left out.")] = None,
    customers: Annotated[int, typer.Option(min=1, max=100, help="How many order at once.")] = 8,
    out: Annotated[Path | None, typer.Option(help="A file for the report, as JSON.")] = None,
) -> None:
    """Order without a pause, with faults by chance, while all parts of the running system are killed by chance.

    Exit code 1 if anything was lost, doubled or left behind. The system must run here, with fault injection.
    """
    settings = load_settings()
    state = require_running(settings)
    seed = Random().randrange(1_000_000) if seed is None else seed  # noqa: S311 - no secret
    pretty.line(f"Chaos with seed {seed} …")
    if settings.broker_url and settings.rabbitmq_management_url is None:
        name = variable_of("rabbitmq_management_url")
        pretty.line(f"RabbitMQ's connections are left alone: {name} says where to cut them.")
    try:
        report = asyncio.run(_run(settings, state, minutes * 60, seed, customers))
    except CannotProve as error:
        raise CannotRun(f"seed {seed}: {error}") from error
    if out is not None:
        out.write_text(report.model_dump_json(indent=1) + "\n")
    _tell(report)
    if report.problems:
        raise typer.Exit(1)


async def _run(settings: Settings, state: State, seconds: float, seed: int, customers: int) -> ChaosReport:
    # Imported here: the other verbs do without Temporal's SDK.
    from run.proving_engine import TemporalEngine

    run_id = uuid4().hex[:8]
    plenty, scarce = f"CHAOS-{run_id}-PLENTY", f"CHAOS-{run_id}-SCARCE"
    receive_stock(settings, plenty, PLENTY)
    receive_stock(settings, scarce, SCARCE)
    with_engine = settings.model_copy(update={"temporal_address": state.urls.temporal})
    engine = await TemporalEngine.of(with_engine)
    async with Doors(state.urls.api) as doors:
        definition = await doors.definition(SUBJECTS["order"].definition)
        disturb = Disturbance(settings)
        return await Chaos(
            doors, engine, definition, disturb, seed, seconds, customers, plenty=plenty, scarce=scarce
        ).run()


def _tell(report: ChaosReport) -> None:
    for title, counts in (("kills", report.kills), ("faults enacted", report.faults), ("sagas", report.outcomes)):
        table = pretty.table(title, "times")
        for name, times in counts.items():
            table.add_row(name, str(times))
        pretty.show(table)
    within = ", ".join(f"{name} {seconds:g} s" for name, seconds in report.ended_within_s.items())
    pretty.line(
        f"{report.orders} orders in {report.seconds:g} s ({report.orders_per_s:.1f} a second), seed {report.seed}; "
        f"ended within: {within}; {report.decisions} decisions; at rest {report.rest_s:g} s after the last order."
    )
    for problem in report.problems:
        pretty.line(f"problem: {problem}")
    pretty.line(
        "Nothing was lost, doubled or left behind." if not report.problems else f"{len(report.problems)} problems."
    )
