"""The verb that proves the sagas of a running system: every failure, at every step, as a real saga each."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from proof import report
from proof.cases import Group
from proof.doors import Doors
from proof.errors import CannotProve
from proof.exploring import Explorer, Selection
from proof.judging import Record
from proof.report import Proof
from proof.subjects import SKU, SUBJECTS
from run import pretty
from run.client import api_url, receive_stock, with_running_engine
from run.errors import CannotRun
from run.settings import Settings, load_settings
from run.state import running_state

_STOCK = 100_000
_SHOWN = 20
"""Surprises told at the terminal; the report has all."""


def add_to(app: typer.Typer) -> None:
    app.command()(prove)


def prove(
    only: Annotated[
        list[str] | None, typer.Option(help="Only cases whose name matches; * stands for anything.")
    ] = None,
    group: Annotated[list[Group] | None, typer.Option(help="Only cases of this group.")] = None,
    saga: Annotated[list[str] | None, typer.Option(help=f"Only this saga: {', '.join(SUBJECTS)}.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many cases of each saga, chosen by the seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the sample and the order of the cases.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=200, help="How many cases to run at once.")] = 24,
    out: Annotated[Path, typer.Option(help="The folder for proof.json and proof.html.")] = Path("data/proof"),
) -> None:
    """Try every failure at every step, as a real saga each, and compare how it ends with what is foretold.

    Exit code 1 if anything is not as it must be. The system must run, with fault injection.
    """
    settings = load_settings()
    if unknown := sorted(set(saga or ()) - set(SUBJECTS)):
        raise CannotRun(f"there is no saga {unknown[0]} to prove; there are {', '.join(SUBJECTS)}")
    selection = Selection(tuple(only or ()), tuple(group or ()), sample, seed)
    receive_stock(settings, SKU, _STOCK)
    try:
        proof = asyncio.run(_prove(settings, tuple(saga or SUBJECTS), selection, jobs))
    except CannotProve as error:
        raise CannotRun(str(error)) from error
    _tell(proof, *report.write(proof, out))
    if proof.surprises:
        raise typer.Exit(1)


async def _prove(settings: Settings, sagas: tuple[str, ...], selection: Selection, jobs: int) -> Proof:
    began, started = datetime.now(UTC), time.monotonic()
    records: list[Record] = []
    # Imported here: the other verbs do without Temporal's SDK.
    from run.proving_engine import TemporalEngine

    async with Doors(api_url(settings)) as doors:
        engine = await TemporalEngine.of(with_running_engine(settings))
        workers = _workers(settings)
        explorers = [await Explorer.of(doors, SUBJECTS[saga], engine, workers=workers) for saga in sagas]
        chosen = [explorer.cases(selection) for explorer in explorers]
        if not any(chosen):
            raise CannotRun("no case is selected; a name is like order/fast/book_shipment.action.lost_reply.once")
        with _progress(sum(map(len, chosen))) as advance:
            for explorer, cases in zip(explorers, chosen, strict=True):
                async for record in explorer.explore(cases, jobs=jobs):
                    records.append(record)
                    advance(record)
    return Proof(
        began=began,
        took_s=round(time.monotonic() - started, 1),
        seed=selection.seed,
        jobs=jobs,
        steps=tuple(step.name for explorer in explorers for place in explorer.definition.places for step in place),
        cases=tuple(sorted(records, key=lambda record: record.name)),
    )


def _workers(settings: Settings) -> int:
    """How many the running system has. Of one that runs elsewhere the settings tell."""
    state = running_state(settings)
    return sum(name.startswith("worker") for name in state.parts) if state else settings.workers


@contextmanager
def _progress(total: int) -> Iterator["Advance"]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=pretty.console()) as progress:
        yield Advance(progress, total)


class Advance:
    """Moves the bar on by a case, and tells of a surprise as soon as there is one."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Proving", total=total)
        self._surprises = 0

    def __call__(self, record: Record) -> None:
        if not record.as_predicted:
            self._surprises += 1
            if self._surprises <= _SHOWN:
                why = "; ".join(record.surprises)
                self._progress.console.print(f"[red]surprise[/] {escape(record.name)}: {escape(why)}", highlight=False)
        self._progress.advance(self._task)


def _tell(proof: Proof, as_json: Path, page: Path) -> None:
    table = pretty.table("group", "cases", "as predicted", "surprises")
    for group, cases, surprises in proof.counts():
        table.add_row(group, str(cases), str(cases - surprises), f"[red]{surprises}[/]" if surprises else "0")
    table.add_row("all", str(len(proof.cases)), str(len(proof.cases) - len(proof.surprises)), str(len(proof.surprises)))
    pretty.show(table)
    pretty.line(
        f"{len(proof.cases)} cases in {proof.took_s:.0f} s, seed {proof.seed}, with shortened timeouts and retries."
    )
    for record in proof.surprises[:1]:
        pretty.line(f"Again, alone: ./amends prove --only '{record.name}'")
    pretty.line(f"{as_json}\n{page}")
