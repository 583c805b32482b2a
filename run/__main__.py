"""`python -m run`, or `./amends`: every process and every command-line verb."""

import os
import sys

import typer

from run import chaos, client, databases, operating, processes, proving
from run.errors import CannotRun

app = typer.Typer(
    name="amends",
    help="Order sagas on Temporal that make amends.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
processes.add_to(app)
client.add_to(app)
operating.add_to(app)
databases.add_to(app)
proving.add_to(app)
chaos.add_to(app)


def main() -> int:
    """Runs one verb. Says what is wrong in one line, where that is all there is to say."""
    try:
        app(prog_name="amends")
    except CannotRun as error:
        typer.echo(f"amends: {error}", err=True)
        return error.exit_code
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's SDK now and then aborts the interpreter while that is taken down (temporalio issue 300).
    os._exit(exit_code)
