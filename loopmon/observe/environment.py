"""The environment and the open files of one process, read once on request.

Masks nothing: ``masking`` does, at the edge. Runs in a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from loopmon.model import ProcessId
from loopmon.observe.descriptors import (
    ENDED,
    NOT_ALLOWED,
    Descriptor,
    UnreadableError,
    read_descriptors,
    the_process,
)


@dataclass(frozen=True, slots=True)
class Environment:
    """What could not be read is a sentence's end that says why."""

    variables: tuple[tuple[str, str], ...] | str
    """Sorted by name, as they were when the process's program was started."""
    files: tuple[Descriptor, ...] | str
    """Those with a path, by descriptor."""
    others: tuple[tuple[str, int], ...] = ()
    """How many other things are open, by kind: ``socket``, ``pipe``, ``anon_inode``."""


def read_environment(identity: ProcessId) -> Environment:
    variables = _variables(identity)
    try:
        found = read_descriptors(identity)
    except UnreadableError as error:
        return Environment(variables, str(error))
    kinds = [target.partition(":")[0] for _, target in found if not target.startswith("/")]
    return Environment(
        variables,
        tuple(each for each in found if each.target.startswith("/")),
        tuple((kind, kinds.count(kind)) for kind in sorted(set(kinds))),
    )


def _variables(identity: ProcessId) -> tuple[tuple[str, str], ...] | str:
    try:
        return tuple(sorted(the_process(identity).environ().items()))
    except UnreadableError as error:
        return str(error)
    except psutil.NoSuchProcess:
        return ENDED
    except psutil.AccessDenied:
        return NOT_ALLOWED
    except OSError as error:
        return f"that could not be read: {error.strerror}"
