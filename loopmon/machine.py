"""What this machine says of its loopback network: is it up, is there IPv6, what is ``localhost``, which ports are kept.

Facts only, each read once when asked for; what they mean for a port is for others to say.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loopmon.address import is_loopback, unmap
from loopmon.firewall import Firewall, read_firewall

NET = "/proc/sys/net/ipv4"
HOSTS = "/etc/hosts"
RESOLVER_TIMEOUT_S = 2.0
"""A resolver that asks a name server in vain takes 5 s and more a try (resolv.conf(5))."""
SIOCGIFFLAGS, IFF_UP = 0x8913, 0x1
"""netdevice(7); the numbers are those of linux/sockios.h and linux/if.h."""
IFREQ = struct.Struct("16sH22x")

Resolve = Callable[..., Iterable[tuple[Any, ...]]]
"""As socket.getaddrinfo."""


@dataclass(frozen=True, slots=True)
class Machine:
    loopback_up: bool | None
    has_ipv6_loopback: bool
    reserved: tuple[tuple[int, int], ...]
    """Ranges, inclusive, that the kernel never chooses a client's port from; a server may bind them."""
    unprivileged_start: int | None
    """The first port that does not need root."""
    localhost: tuple[str, ...]
    """Its loopback addresses in the resolver's order."""
    localhost_error: str | None
    """Why it has none."""
    firewall: Firewall | None
    """None: was not asked for."""


def read_machine(
    resolve: Resolve = socket.getaddrinfo,
    net: str = NET,
    read_rules: Callable[[], Firewall] | None = read_firewall,
) -> Machine:
    addresses, error = resolve_localhost(resolve)
    return Machine(
        loopback_up=loopback_up(),
        has_ipv6_loopback=has_ipv6_loopback(),
        reserved=parse_ranges(_read(Path(net, "ip_local_reserved_ports"))),
        unprivileged_start=unprivileged_start(net),
        localhost=addresses,
        localhost_error=error,
        firewall=read_rules() if read_rules else None,
    )


def loopback_up() -> bool | None:
    """None where there is no such interface, or it cannot be asked."""
    if sys.platform != "linux":
        return next(
            (stats.isup for name, stats in psutil.net_if_stats().items() if name.lower().startswith("lo")), None
        )
    import fcntl  # POSIX has it, Windows does not

    # Not from /sys/class/net: that shows the network of who mounted it.
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, IFREQ.pack(b"lo", 0))
    except OSError:
        return None
    flags: int = IFREQ.unpack(answer)[1]
    return bool(flags & IFF_UP)


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as opened:
            opened.bind(("::1", 0))
    except OSError:
        return False
    return True


def unprivileged_start(net: str = NET) -> int | None:
    """ip_unprivileged_port_start (ip(7)); None where the system does not say."""
    text = _read(Path(net, "ip_unprivileged_port_start")).strip()
    return int(text) if re.fullmatch(r"\d+", text, re.ASCII) else None


def parse_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """``8080,9148-9150``, as ip_local_reserved_ports has it (Documentation/networking/ip-sysctl.rst)."""
    found = re.findall(r"(\d+)(?:-(\d+))?", text, re.ASCII)
    return tuple((int(first), int(last or first)) for first, last in found)


def resolve_localhost(
    resolve: Resolve = socket.getaddrinfo, timeout_s: float = RESOLVER_TIMEOUT_S
) -> tuple[tuple[str, ...], str | None]:
    """The loopback addresses of ``localhost`` in the resolver's order, and why there are none."""
    answers: list[tuple[list[str], str | None]] = []
    # A call of the resolver cannot be given up, so it is left behind.
    asking = threading.Thread(target=lambda: answers.append(_ask(resolve)), name="resolver", daemon=True)
    asking.start()
    asking.join(timeout_s)
    if not answers:
        return (), f"the resolver did not answer within {timeout_s:g} s"
    addresses, error = answers[0]
    found = tuple(ip for ip in addresses if is_loopback(ip))
    if addresses and not found:
        return (), f"localhost is {addresses[0]}, which is not a loopback address"
    return found, error


def hosts_file_says(path: str = HOSTS) -> tuple[str, ...]:
    """The addresses that hosts(5) gives for ``localhost``, in its order; none where there is no such file."""
    found: dict[str, None] = {}
    for line in _read(Path(path)).splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if "localhost" in (name.lower() for name in names):
            try:
                found[unmap(str(ipaddress.ip_address(address)))] = None
            except ValueError:
                continue  # the resolver passes over such a line as well
    return tuple(found)


def _ask(resolve: Resolve) -> tuple[list[str], str | None]:
    """Each address once."""
    try:
        rows = resolve("localhost", None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(unmap(row[4][0]) for row in rows)), None
    except socket.gaierror as error:
        return [], _RESOLVER_WORDS.get(error.errno or 0) or error.strerror or str(error)
    except OSError as error:
        return [], error.strerror or str(error)


_RESOLVER_WORDS = {
    socket.EAI_AGAIN: "localhost does not resolve: no name server answers, and no hosts file has it",
    socket.EAI_NONAME: "localhost does not resolve: nobody knows the name",
}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
