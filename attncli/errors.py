"""Every error that a user can cause. Anything else is a bug and keeps its traceback.

AttncliError                                                        exit 1
├── InputError          what the user wrote or passed is wrong      exit 2
│   ├── SpecError       the spec, with every fault of it
│   └── DataError       the data, with file and line
├── RunError            the run folder or a checkpoint cannot serve exit 2
├── WorkError           the work failed: disk full, diverged        exit 1
└── CheckError          a check said no                             exit 3
"""


class AttncliError(Exception):
    """An error whose message is the whole report: place, value, rule, then `help:` with the way out."""

    exit_code = 1

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message if help is None else f"{message}\nhelp: {help}")


class InputError(AttncliError):
    """A flag, a file or a text that the user gave is wrong."""

    exit_code = 2


class SpecError(InputError):
    """The spec cannot be read or breaks a rule of the language."""


class DataError(InputError):
    """The data cannot be read or do not fit the spec."""


class RunError(AttncliError):
    """The run folder, or a checkpoint in it, cannot serve what was asked."""

    exit_code = 2


class WorkError(AttncliError):
    """The work itself failed: out of disk, a loss that is no number."""


class CheckError(AttncliError):
    """A check was made and said no."""

    exit_code = 3
