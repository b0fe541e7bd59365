"""What of a row is worth copying: its address, and the commands that show the same elsewhere. Pure.

Everything is clean and fits on one line: a pasted line end would run a command before it was read.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

from loopmon import words
from loopmon.clean import clean
from loopmon.model import Connection, Endpoint, Listener, Process, ProcessId
from loopmon.url import is_udp, reachable, server_of, url_of

LONGEST = 32_768
"""Characters of a command line; terminals refuse far more."""


class Copyable(NamedTuple):
    title: str
    text: str


def address_of(row: Listener | Connection) -> str:
    """Of a listener where clients find it, of a connection its client's."""
    if isinstance(row, Listener):
        return words.endpoint(reachable(row.laddr, row.socket.v6only))
    return words.endpoint(row.client.addr)


def copyables(
    row: Listener | Connection | None, identity: ProcessId | None, process: Process | None, platform: str
) -> list[Copyable]:
    """All that apply, the likeliest first. ``platform`` is as ``sys.platform`` has it."""
    found: list[Copyable] = []
    if row is not None:
        found.append(Copyable("address", address_of(row)))
        if isinstance(row, Connection):
            found.append(Copyable("server", words.endpoint(server_of(row))))
    if identity is not None:
        found.append(Copyable("pid", str(identity.pid)))
    if process is not None and process.cmdline:
        found.append(Copyable("command line", clean(shlex.join(process.cmdline), LONGEST)))
    if row is not None:
        found += _commands(row, platform)
    return found


def _commands(row: Listener | Connection, platform: str) -> list[Copyable]:
    found = [] if is_udp(row) else [Copyable("curl", _curl(url_of(row)))]
    wanted = capture_filter(row)
    if platform == "linux":
        found.append(Copyable("ss", _ss(row)))
    if platform != "win32":
        found.append(Copyable("lsof", _lsof(row)))
    found.append(Copyable("capture filter", wanted))
    if platform != "win32":
        card = "lo" if platform == "linux" else "lo0"
        found.append(Copyable("tcpdump", shlex.join(["sudo", "tcpdump", "-i", card, "-nn", "-A", wanted])))
        found.append(Copyable("tshark", shlex.join(["sudo", "tshark", "-i", card, "-n", "-f", wanted])))
    return found


def capture_filter(row: Listener | Connection) -> str:
    """``host 127.0.0.1 and port 49342 and port 3000`` (pcap-filter(7)); a wildcard listener has no host."""
    ends = _ends(row)
    hosts = dict.fromkeys(f"host {where.ip}" for where in ends if where.ip not in {"0.0.0.0", "::"})
    ports = dict.fromkeys(f"port {where.port}" for where in ends)
    return " and ".join([*(["udp"] if is_udp(row) else []), *hosts, *ports])


def _ends(row: Listener | Connection) -> tuple[Endpoint, ...]:
    return (row.laddr,) if isinstance(row, Listener) else (row.client.addr, row.server.addr)


def _curl(url: str) -> str:
    """A certificate for development is seldom one that curl trusts."""
    return shlex.join(["curl", "-ik" if url.startswith("https:") else "-i", url])


def _ss(row: Listener | Connection) -> str:
    kind = "u" if is_udp(row) else "t"
    if isinstance(row, Listener):
        return shlex.join(["ss", f"-{kind}lnp", f"sport = :{row.laddr.port}"])
    client, server = words.endpoint(row.client.addr), words.endpoint(row.server.addr)
    both = f"( src {client} and dst {server} ) or ( src {server} and dst {client} )"
    return shlex.join(["ss", f"-{kind}anp", both])


def _lsof(row: Listener | Connection) -> str:
    kind = "UDP" if is_udp(row) else "TCP"
    if isinstance(row, Listener):
        listening = [] if is_udp(row) else [f"-s{kind}:LISTEN"]
        return shlex.join(["lsof", "-nP", f"-i{kind}:{row.laddr.port}", *listening])
    return shlex.join(["lsof", "-nP", f"-i{kind}@{words.endpoint(row.client.addr)}"])
