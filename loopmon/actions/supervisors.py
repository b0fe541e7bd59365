"""Who would start a process again, and the better command to stop it with. Pure: told by the control group, the
container and the parents."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple

from loopmon.clean import clean
from loopmon.model import Ancestor, Process
from loopmon.units import service_of

PROXIES = frozenset({"docker-proxy", "com.docker.backend", "com.docker.backe", "rootlessport", "wslrelay.exe"})
"""They hold ports for containers: to end them breaks the container's network and frees nothing for long."""


class Supervisor(NamedTuple):
    label: str
    """``nodemon 700``, ``systemd service nginx.service``."""
    command: str | None
    """What stops the server for good."""


_KNOWN: dict[str, Callable[[int], str | None]] = {
    "nodemon": lambda pid: f"loopmon stop pid:{pid}",
    "supervisord": lambda _pid: "supervisorctl stop NAME",
    "runsv": lambda _pid: "sv down NAME",
    "s6-supervise": lambda _pid: "s6-svc -d NAME",
    "foreman": lambda pid: f"loopmon stop pid:{pid}",
    "honcho": lambda pid: f"loopmon stop pid:{pid}",
    "overmind": lambda _pid: "overmind stop NAME",
    "watchexec": lambda pid: f"loopmon stop pid:{pid}",
    "entr": lambda pid: f"loopmon stop pid:{pid}",
    "air": lambda pid: f"loopmon stop pid:{pid}",
    "reflex": lambda pid: f"loopmon stop pid:{pid}",
}
"""By the name of a parent."""


def supervisor_of(process: Process) -> Supervisor | None:
    unit = service_of(process.ties.cgroup)
    if unit is not None:
        systemctl = "systemctl --user" if unit.is_users else "sudo systemctl"
        return Supervisor(f"systemd service {clean(unit.name)}", f"{systemctl} stop {shlex.quote(clean(unit.name))}")
    if process.ties.container:
        short = process.ties.container[:12]
        return Supervisor(f"container {clean(short)}", f"docker stop {shlex.quote(clean(short))}")
    return next((found for above in process.parents if (found := _by_name(above))), None)


def _by_name(above: Ancestor) -> Supervisor | None:
    name, pid = above.name, above.process.pid
    if name.startswith("PM2"):
        return Supervisor(f"pm2 {pid}", "pm2 stop NAME")
    command = _KNOWN.get(name)
    return Supervisor(f"{clean(name)} {pid}", command(pid)) if command else None
