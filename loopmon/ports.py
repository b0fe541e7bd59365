"""What a port number means: IANA's classes, this system's ephemeral range, service names.

Reads the system's settings once; knows nothing of sockets.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loopmon.model import PortClass, Ports, Protocol

IANA_DYNAMIC = (49152, 65535)
"""RFC 6335, section 6: what is assumed where the system does not tell its range."""

_LINUX_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SERVICES = Path("/etc/services")


def port_class(port: int, ephemeral: tuple[int, int]) -> PortClass:
    """The class of ``port``; the system's ephemeral range wins over IANA's classes."""
    first, last = ephemeral
    if first <= port <= last:
        return PortClass.EPHEMERAL
    if port < 1024:
        return PortClass.WELL_KNOWN
    return PortClass.REGISTERED if port < IANA_DYNAMIC[0] else PortClass.DYNAMIC


def system_ports() -> Ports:
    """This system's ephemeral range and service names."""
    return Ports(_ephemeral_range(), parse_services(_read(_SERVICES)))


def parse_services(text: str) -> dict[tuple[int, Protocol], str]:
    """services(5): ``name port/protocol [aliases] [# comment]``; the first name of a port wins."""
    names: dict[tuple[int, Protocol], str] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2:
            continue
        port, slash, protocol = fields[1].partition("/")
        if slash and port.isdecimal() and len(port) <= 5 and int(port) <= 65535 and protocol in {"tcp", "udp"}:
            names.setdefault((int(port), Protocol(protocol)), fields[0])
    return names


def _ephemeral_range() -> tuple[int, int]:
    if sys.platform == "linux":
        words = _read(_LINUX_RANGE).split()
    elif sys.platform == "darwin":
        words = _sysctl("net.inet.ip.portrange.first", "net.inet.ip.portrange.last")
    else:
        words = []
    if len(words) == 2 and all(word.isdecimal() for word in words):
        return int(words[0]), int(words[1])
    return IANA_DYNAMIC


def _sysctl(*names: str) -> list[str]:
    try:
        asked = subprocess.run(["/usr/sbin/sysctl", "-n", *names], capture_output=True, text=True, timeout=2)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return asked.stdout.split()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
