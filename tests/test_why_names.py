"""``localhost`` as a resolver of the test's own has it, beside a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from zoo import TIMEOUT_S, Child, Zoo

from loopmon import machine as machine_module
from loopmon.commands.look import look_once
from loopmon.machine import Resolve, read_machine
from loopmon.model import Scope
from loopmon.sources import SourceChoice
from loopmon.why.answer import Answer, Cause
from loopmon.why.case import Case
from loopmon.why.explain import explain
from loopmon.why.target import parse_target


def answers(*addresses: str) -> Resolve:
    def resolve(*_: Any, **__: Any) -> Iterator[tuple[Any, ...]]:
        for ip in addresses:
            yield socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)

    return resolve


def fails(number: int) -> Resolve:
    def resolve(*_: Any, **__: Any) -> Iterator[tuple[Any, ...]]:
        raise socket.gaierror(number, "it does not work")

    return resolve


def asked(what: str, resolve: Resolve) -> Answer:
    machine = read_machine(resolve, read_rules=None)
    snapshot = look_once(SourceChoice.AUTO, Scope(ipv6=True), demo=False)
    return explain(Case(parse_target(what), snapshot, machine))


@pytest.fixture
def child(zoo: Zoo) -> Child:
    return zoo.child()


@pytest.mark.parametrize(
    ("resolve", "words"),
    [
        (fails(socket.EAI_AGAIN), "no name server answers, and no hosts file has it"),
        (fails(socket.EAI_NONAME), "nobody knows the name"),
        (answers("192.0.2.1"), "localhost is 192.0.2.1, which is not a loopback address"),
        (answers(), "the resolver gives no loopback address for it"),
    ],
)
def test_a_name_that_does_not_resolve_is_the_cause_where_it_was_asked_for(
    child: Child, resolve: Resolve, words: str
) -> None:
    port = child.listen().port
    verdict = asked(f"http://localhost:{port}/", resolve).verdict
    assert (verdict.cause, verdict.ok) == (Cause.NAME, False)
    assert words in verdict.evidence[0]
    assert verdict.remedies[1] == f"or say 127.0.0.1:{port} instead"
    error = f"getaddrinfo EAI_AGAIN localhost\nhttp://127.0.0.1:{port}"
    assert asked(error, resolve).verdict.cause is Cause.NAME
    by_address = asked(f"127.0.0.1:{port}", resolve)
    assert by_address.verdict.ok


def test_a_resolver_that_hangs_is_not_waited_for(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        over.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(machine_module, "resolve_localhost", partial(machine_module.resolve_localhost, timeout_s=0.05))
    try:
        verdict = asked(f"localhost:{child.listen().port}", hang).verdict
    finally:
        over.set()
    assert verdict.cause is Cause.NAME
    assert "did not answer within 0.05 s" in verdict.evidence[0]


@pytest.mark.parametrize("what", ["localhost:{}", "api.localhost:{}", "connect ECONNREFUSED localhost:{}"])
def test_ipv6_first_is_the_cause_where_the_server_is_on_ipv4(child: Child, what: str) -> None:
    port = child.listen().port
    answer = asked(what.format(port), answers("::1", "127.0.0.1"))
    assert answer.verdict.cause is Cause.OTHER_FAMILY
    assert answer.verdict.headline.startswith("localhost is [::1] first, and ")
    assert answer.verdict.headline.endswith(f"listens on 127.0.0.1:{port} only")
    assert answer.verdict.remedies[0] == f"say 127.0.0.1:{port} instead of localhost"
    lines = [line.text for section in answer.sections for line in section.lines]
    assert "localhost  is [::1], then 127.0.0.1" in lines


def test_ipv4_first_is_well_and_so_is_a_server_on_both(child: Child) -> None:
    port = child.listen().port
    assert asked(f"localhost:{port}", answers("127.0.0.1", "::1")).verdict.ok
    everywhere = child.listen("::").port
    assert asked(f"localhost:{everywhere}", answers("::1", "127.0.0.1")).verdict.ok


def test_ipv6_alone_is_the_cause_where_nobody_is_there(child: Child) -> None:
    port = child.listen().port
    verdict = asked(f"localhost:{port}", answers("::1")).verdict
    assert (verdict.cause, verdict.remedies[0]) == (Cause.OTHER_FAMILY, f"say 127.0.0.1:{port}")
