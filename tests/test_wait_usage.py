"""What ``loopmon wait`` cannot be asked for, and how long it can be asked to wait."""

from __future__ import annotations

import click
import pytest

from loopmon.commands.duration import Duration
from loopmon.commands.front import run
from loopmon.exit_status import ExitStatus

WRONG: list[tuple[list[str], str]] = [
    ([], "Missing argument 'WHAT...'"),
    (["hello"], "no port in it; accepted are a port (3000)"),
    (["connect", "ECONNREFUSED", "127.0.0.1:3000"], "'connect': no port in it"),
    (["70000"], "70000 is not a port (1 to 65535)"),
    (["192.168.1.5:80"], "192.168.1.5 is not a loopback address; write 127.0.0.1:80 if this machine is meant"),
    (["redis:6379"], "redis is not a loopback address; write 127.0.0.1:6379"),
    (["53/udp"], "53/udp is UDP"),
    (["3000", "--timeout", "soon"], "'soon' is not a duration such as 30s, 500ms or 2m"),
    (["3000", "--interval", "0"], "'0' is not a number of seconds"),
    (["3000", "--free", "--by", "node"], "--free and --by exclude each other"),
    (["3000", "--free", "--probe"], "--free and --probe exclude each other"),
    (["evil\x1b[31m.example:80\x07"], "evil.example is not a loopback address"),
]


@pytest.mark.parametrize(("args", "reason"), WRONG, ids=[" ".join(args) or "nothing" for args, _ in WRONG])
def test_what_cannot_be_waited_for(args: list[str], reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["wait", *args]) == ExitStatus.USAGE
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"loopmon: {reason}") or reason in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("1.5", 1.5), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "s", "1e9", "inf", "nan", "1 s", "1d", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)
