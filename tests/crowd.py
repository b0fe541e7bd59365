"""Many connections: synthetic ones for a source, and real ones held by children."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from making import both_ends, listening, process
from stage import Puppet
from zoo import Zoo

from loopmon.model import Socket

SERVERS = 50
CLIENTS = 200


def crowd(connections: int) -> Puppet:
    """So many connections to fifty servers from two hundred processes."""
    source = Puppet(processes=[process(pid, "server") for pid in range(1000, 1000 + SERVERS)])
    source.processes |= {one.id: one for one in (process(pid, "client") for pid in range(5000, 5000 + CLIENTS))}
    source.sockets = [listening(f"127.0.0.1:{3000 + number}", 1000 + number) for number in range(SERVERS)]
    for number in range(connections):
        source.sockets += pair(number)
    return source


def pair(number: int, generation: int = 0) -> tuple[Socket, Socket]:
    server = number % SERVERS
    host = f"127.{1 + number // 30000}.0.{1 + generation % 200}"
    return both_ends(
        f"{host}:{20000 + number % 30000}", f"127.0.0.1:{3000 + server}", 5000 + number % CLIENTS, 1000 + server
    )


def churn(source: Puppet, share: float, generation: int) -> None:
    """Put new connections in the place of a share of them; the others stay the same objects."""
    connections = (len(source.sockets) - SERVERS) // 2
    for number in range(round(connections * share)):
        place = SERVERS + 2 * number
        source.sockets[place : place + 2] = pair(number, generation)


def turn_over(source: Puppet) -> None:
    """Every socket an equal one, but another object, as from a source that remembers nothing."""
    source.sockets = [replace(found) for found in source.sockets]


@contextmanager
def real_crowd(connections: int) -> Iterator[None]:
    """Established connections between two children of this process."""
    with Zoo() as zoo:
        server, client = zoo.child(), zoo.child()
        listener = server.listen(backlog=128)
        for _ in range(connections):
            client.connect("127.0.0.1", listener.port)
            server.accept(listener)
        yield
