"""What holds for all tests, and how they are shared out when several processes run them."""

import functools
import os
import signal
import ssl
from pathlib import Path

import pytest
import structlog

# Started in a shell's background, tests ignore SIGINT, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The tracebacks that structlog draws by default take seconds of the processor each, and hold up whatever runs beside.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Every HTTP client reads all certificates, which takes longer than many a test; here they may share what was read.
vars(ssl)["create_default_context"] = functools.cache(ssl.create_default_context)

WHOLE_SYSTEM = Path(__file__).parent / "e2e"
APART = [Path(__file__).parent / name for name in ("deployment", "mutations")]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These take minutes, and both cores: only who names them gets them, as the make targets of their names do."""
    if collection_path not in APART:
        return None
    return None if any(collection_path.name in argument for argument in config.args) else True


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the whole system share one: it takes both cores to start, and its free ports are taken one by one."""
    for item in items:
        if WHOLE_SYSTEM in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("system"))


def pytest_collection_finish(session: pytest.Session) -> None:
    shared_out = "PYTEST_XDIST_WORKER" in os.environ
    if shared_out and any(WHOLE_SYSTEM in item.path.parents and "@system" not in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest ignores xdist_group: install what requirements-dev.lock names")
