"""What a control group's path says of who runs a process: a systemd service, or nobody in particular. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_SERVICE = re.compile(r"/([^/]+\.service)(?=/|$)")
_HOSTS_WHAT_IS_TYPED = re.compile(
    r"(user@\d+|gnome-terminal|.*(konsole|terminal|kitty|ptyxis|kgx|ghostty|alacritty|wezterm)).*\.service$", re.I
)
"""Services whose children are what somebody typed, or a whole session."""


class Unit(NamedTuple):
    name: str
    """``nginx.service``."""
    is_users: bool
    """Of the user's own manager rather than the system's."""


def service_of(cgroup: str | None) -> Unit | None:
    """The service that a process belongs to (systemd.unit(5), cgroups(7))."""
    names = _SERVICE.findall(cgroup or "")
    if not names or _HOSTS_WHAT_IS_TYPED.match(names[-1]):
        return None
    return Unit(names[-1], any(name.startswith("user@") for name in names[:-1]))
