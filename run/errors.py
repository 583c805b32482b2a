"""What keeps a process from running, told to whoever started it.

CannotRun               one clear line that says what to do; exit code 1
├── BadSetting          names the variable; exit code 2
├── PortTaken           names the port, the part and the setting to change
├── AlreadyRunning      another supervisor works on the same data folder
├── NotRunning          a verb needs a running system
└── PartsFailed         the system did not come up
"""


class CannotRun(Exception):
    """Shown to people as it is, without a traceback."""

    exit_code = 1


class BadSetting(CannotRun):
    exit_code = 2


class PortTaken(CannotRun):
    pass


class AlreadyRunning(CannotRun):
    pass


class NotRunning(CannotRun):
    pass


class PartsFailed(CannotRun):
    pass
