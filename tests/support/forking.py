"""Processes of tests that begin with our code loaded: loading it takes longer than what most of them are for."""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.support.worker_process",
        "tests.support.service_process",
        "tests.support.system",
        *(f"run.{name}" for name in ("chaos", "client", "databases", "operating", "processes", "proving")),
        *(f"services.{name}.app" for name in ("order", "payment", "shipping", "views", "notifications")),
    ]
)
