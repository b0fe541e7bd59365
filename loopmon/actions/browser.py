"""Opens an address in the browser. The only place that starts another program.

A browser that draws in the terminal is not started: it would draw over this screen. What a browser writes
is dropped for the same reason.
"""

from __future__ import annotations

import shutil
import subprocess
import webbrowser
from pathlib import Path

IN_TERMINAL = frozenset({"www-browser", "links", "links2", "elinks", "lynx", "w3m", "browsh", "carbonyl"})
STARTED_S = 1.0
"""A program that has not failed within this time is taken to have opened it."""


def open_in_browser(url: str) -> str | None:
    """Returns why it could not, or None. May take ``STARTED_S``."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return "no browser is found on this machine"
    name = Path(str(getattr(browser, "name", ""))).name
    if name in IN_TERMINAL:
        return f"the only browser found, {name}, draws in the terminal"
    if isinstance(browser, webbrowser.GenericBrowser):
        return _start([browser.name, *(argument.replace("%s", url) for argument in browser.args)])
    return None if browser.open(url) else "the browser could not be started"


def _start(command: list[str]) -> str | None:
    """As webbrowser's own classes do, which leave it the terminal to write on."""
    name = Path(command[0]).name
    if shutil.which(command[0]) is None:
        return f"{name} is not found"
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"{name} could not be started: {error.strerror}"
    try:
        status = started.wait(STARTED_S)
    except subprocess.TimeoutExpired:
        return None
    return f"{name} failed with status {status}" if status else None
