"""A network of its own for a test: a child process in which there is no socket but those that it opens.

Run as a script, this file is such a child: it calls one function of a test module and prints what it returns.
Everything in that network, connections in TIME_WAIT included, goes with the child.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zoo import TIMEOUT_S, run_python

REFUSED = 77
"""The exit status of a child that may not do what the test needs."""
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
IFREQ = struct.Struct("16sh22x")


class RefusedError(Exception):
    """This system does not permit it; the message says what."""


def inside(function: Callable[..., Any], *arguments: str | int | bool) -> Any:
    """What a function of a test module's top level returns in such a child; skips the test where there can be none."""
    done = run_python(__file__, function.__module__, function.__name__, json.dumps(arguments))
    if done.returncode == REFUSED:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def drop(rule: str) -> None:
    """Let packets such as ``tcp dport 4444`` vanish on their way in. In the child only."""
    if shutil.which("nft"):
        chain = "add table inet loss; add chain inet loss in { type filter hook input priority 0; }"
        _run("nft", f"{chain}; add rule inet loss in {rule} drop")
    elif shutil.which("iptables") and shutil.which("ip6tables"):
        protocol, end, port = rule.split()
        for tables in ("iptables", "ip6tables"):
            _run(tables, "-A", "INPUT", "-p", protocol, f"--{end}", port, "-j", "DROP")
    else:
        raise RefusedError("there is neither nft nor iptables to drop packets with")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RefusedError(f"no packet can be dropped here: {done.stderr.strip()}")


def _enter() -> None:
    """Root needs nothing else; another user needs to be root of a world of its own."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)):
        raise RefusedError(f"no network namespace may be made here: {os.strerror(ctypes.get_errno())}")
    try:
        if uid:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, IFREQ.pack(b"lo", IFF_UP))
    except OSError as error:
        raise RefusedError(f"the network namespace cannot be set up: {error}") from error


def _main(module: str, function: str, arguments: str) -> None:
    try:
        _enter()
        print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(arguments))))
    except RefusedError as error:
        print(error, file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    from namespace import _main as main  # the module that test modules import, so that there is one RefusedError

    main(*sys.argv[1:])
