"""Whether this process may look into everybody's: being root is not enough where capabilities were dropped."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE = 1, 2, 19
"""linux/capability.h. Other users' /proc/pid/fd needs the last and one of the first two (proc(5))."""


@functools.cache
def sees_every_process() -> bool:
    """Asked once: a process does not gain capabilities while it runs."""
    if sys.platform == "win32":
        return False
    if sys.platform != "linux":
        return os.geteuid() == 0
    capabilities = _effective_capabilities()
    reads = capabilities & (1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    return bool(reads and capabilities & 1 << CAP_SYS_PTRACE)


def _effective_capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return int(found.split()[1], 16)
