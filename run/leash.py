"""Becomes another program that is told to stop when its supervisor is gone, even by SIGKILL. Linux only.

Run as `python -I -S leash.py SUPERVISOR_PID PROGRAM ARGUMENT…`. The obvious way, a function between fork and exec, is
not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    # It may have died just before.
    if os.getppid() != supervisor:
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the supervisor's own parts
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")
