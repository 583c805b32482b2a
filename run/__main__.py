"""`python -m run`, or `./amends`: every process and every command-line verb."""

import gc
import os
import sys

import typer

from run.errors import CannotRun

_PARTS = frozenset(("up", "migrate", "service", "consumer", "prepare", "worker", "api"))
"""`up`, and what it starts by the dozen."""
_FOR_CUSTOMERS = frozenset(("order", "orders", "show", "history", "events", "cancel", "decide", "audit", "stock"))
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main(arguments: list[str]) -> int:
    """Runs one verb. Says what is wrong in one line, where that is all there is to say."""
    # Loading our libraries makes many objects and no garbage; to look for some takes a tenth of the time.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 10, 10)
    try:
        _verbs(arguments)(arguments, prog_name="amends")
    except CannotRun as error:
        typer.echo(f"amends: {error}", err=True)
        return error.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 130
    return 0


def _verbs(arguments: list[str]) -> typer.Typer:
    """All of them; for those that are used most, what they need: loading the rest takes longer than what they do."""
    app = typer.Typer(
        name="amends",
        help="Order sagas on Temporal that make amends.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    verb = frozenset(arguments[:1])
    if not verb & _FOR_CUSTOMERS:
        from run import databases, processes

        processes.add_to(app)
        databases.add_to(app)
    if not verb & _PARTS:
        from run import client

        client.add_to(app)
    if not verb & (_PARTS | _FOR_CUSTOMERS):
        from run import chaos, operating, proving

        operating.add_to(app)
        proving.add_to(app)
        chaos.add_to(app)
    return app


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's SDK now and then aborts the interpreter while that is taken down (temporalio issue 300).
    os._exit(exit_code)
