"""What ties a process to the place it was started from: session, parent, standard streams, control group.

Reads only; judges nothing. What may not be read is None. Asks the system, so the monitor's thread calls it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import psutil

from loopmon.model import Ties

_CONTAINER = re.compile(r"[0-9a-f]{64}|(?<=/)(?:lxc|lxc\.payload|machine\.slice)[./][^/]+")
"""The ids of Docker, Podman and Kubernetes, and the names of LXC's and systemd's machines."""


def read_ties(pid: int, ppid: int | None) -> Ties:
    session = _session(pid)
    cgroup = _cgroup(pid)
    return Ties(
        session=session or None,
        session_gone=_is_gone(session) if session else None,
        parent_gone=_parent_gone(pid, ppid, session),
        streams=_streams(pid),
        cgroup=cgroup,
        container=_container(cgroup or "", _cgroup(os.getpid()) or ""),
    )


def _parent_gone(pid: int, ppid: int | None, session: int | None) -> bool | None:
    """A child is born into its parent's session. One that neither has a session of its own nor shares its parent's
    has been given another parent: pid 1, or a subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)). In pid 1's own
    session, as in a container, the leader of its process group tells as much by having gone."""
    if not ppid or session is None:
        return None
    if session == pid:
        return False
    above = _session(ppid)
    if above is None:
        return None
    if above != session:
        return True
    group = _group(pid)
    return ppid == 1 and bool(group) and _is_gone(group or 0)


def _session(pid: int) -> int | None:
    """0 is a session whose leader is outside this pid namespace, or that nobody began, as pid 1's may be."""
    try:
        return os.getsid(pid)
    except OSError:
        return None  # ended, or a system that does not tell of other sessions


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _is_gone(pid: int) -> bool:
    """Or has ended and waits to be reaped, as under a pid 1 that never does. The kernel gives no new process a
    number that still names a session or a group (alloc_pid in kernel/pid.c)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False  # it is there


def _streams(pid: int) -> tuple[str, ...] | None:
    """A terminal that has been closed shows as ``/dev/pts/3 (deleted)``; a closed stream is an empty string."""
    if sys.platform != "linux":
        return None
    targets = []
    for fd in range(3):
        try:
            targets.append(str(Path(f"/proc/{pid}/fd/{fd}").readlink()))
        except FileNotFoundError:
            targets.append("")
        except OSError:
            return None
    return tuple(targets)


def _container(cgroup: str, own: str) -> str | None:
    return next((name for name in _CONTAINER.findall(cgroup) if name not in own), None)


def _cgroup(pid: int) -> str | None:
    """The path in the unified hierarchy, else in systemd's own (cgroups(7), /proc/pid/cgroup)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return None
    paths = {fields[1]: fields[2] for line in lines if len(fields := line.split(":", 2)) == 3}
    unified = paths.get("", "/")
    return unified if unified != "/" else paths.get("name=systemd", unified)
