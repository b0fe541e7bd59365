"""What the exit statuses mean; the same for every command."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    OK = 0
    """Done, or the answer is yes."""
    NO = 1
    """The answer is no: nothing matched, timed out, not free, could not stop."""
    USAGE = 2
    """Wrong usage."""
    UNREADABLE = 3
    """The sockets could not be read."""
    NOT_PERMITTED = 4
    """This user may not."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or a signal."""
