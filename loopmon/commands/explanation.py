"""Gathers what ``loopmon why`` explains, and prints the explanation as text or data."""

from __future__ import annotations

import textwrap
from typing import Any

from loopmon import words
from loopmon.address import LOCAL
from loopmon.clean import clean
from loopmon.commands.look import look_once
from loopmon.model import Protocol, Scope
from loopmon.sources import SourceChoice
from loopmon.why.answer import Answer
from loopmon.why.case import Case
from loopmon.why.inquiry import connect, inquire
from loopmon.why.target import Target

SCHEMA = 1
LABEL_WIDTH = 9
TEXT_WIDTH = 100


def gather(target: Target, source: str, *, demo: bool, probing: bool) -> Case:
    """Raises SourceError."""
    snapshot = look_once(SourceChoice(source), Scope(ipv6=True), demo=demo)
    case = inquire(target, snapshot)
    return connect(case) if probing else case


def text(case: Case, answer: Answer) -> str:
    """The verdict, what was seen, what to do; then the rest, each part under its label."""
    target, verdict = case.target, answer.verdict
    lines = _wrapped(None, [f"{_subject(case)}{verdict.headline}"])
    lines += _wrapped("", [f"- {line}" for line in verdict.evidence])
    lines += _wrapped("DO", list(verdict.remedies))
    for section in answer.sections:
        lines += _wrapped(section.title, [line.text for line in section.lines])
    if target.others:
        lines += _wrapped("ALSO", [f"in that text: {', '.join(map(clean, target.others))}"])
    return "\n".join(lines) + "\n"


def _subject(case: Case) -> str:
    """What was read out of the text; a bare port goes without saying."""
    host = case.target.host
    if host is None:
        return ""
    udp = " (udp)" if case.protocol is Protocol.UDP else ""
    return clean(f"{f'[{host}]' if ':' in host else host}:{case.port}{udp}: ", 200)


def _wrapped(label: str | None, texts: list[str]) -> list[str]:
    """Under a label; without one from the left edge."""
    lines: list[str] = []
    for number, each in enumerate(texts):
        first = f"{label if number == 0 else '':<{LABEL_WIDTH}}" if label is not None else ""
        lines += textwrap.wrap(
            each,
            TEXT_WIDTH,
            initial_indent=first,
            subsequent_indent=" " * (LABEL_WIDTH + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def document(case: Case, answer: Answer) -> dict[str, Any]:
    """Keys may be added, never renamed or dropped; what is unknown is null."""
    target, verdict, made = case.target, answer.verdict, case.probe
    return {
        "schema": SCHEMA,
        "target": {
            "port": target.port,
            "host": target.host,
            "protocol": case.protocol,
            "symptom": target.symptom,
            "quoted": target.quoted,
            "others": list(target.others),
        },
        "ok": verdict.ok,
        "cause": verdict.cause,
        "headline": verdict.headline,
        "evidence": list(verdict.evidence),
        "remedies": list(verdict.remedies),
        "answers": [
            {
                "address": ip,
                "listeners": [
                    {
                        "id": row.id,
                        "address": row.laddr.ip,
                        "pids": [owner.process.pid for owner in row.socket.owners],
                        "label": words.owners_label(row.socket, case.snapshot.processes),
                    }
                    for row in case.answering(ip)
                ],
            }
            for ip in dict.fromkeys((*LOCAL, *case.addresses))
        ],
        "localhost": list(case.machine.localhost) if case.machine else None,
        "bind": [
            {"address": bind.ip, "free": bind.free, "needs_reuse": bind.needs_reuse, "reason": bind.reason}
            for bind in case.binds
        ]
        or None,
        "probe": {"outcome": made.outcome, "took_ms": round(made.took_ms, 3), "error": made.error} if made else None,
        "sections": {section.title.lower(): [line.text for line in section.lines] for section in answer.sections},
    }
