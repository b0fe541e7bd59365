"""Every key, declared once. Footer, help, palette and README follow from this list."""

from __future__ import annotations

from textual.binding import Binding

TABLE_BINDINGS = (
    Binding("down,j", "move(1)", "Down", id="down", show=False, tooltip="next row"),
    Binding("up,k", "move(-1)", "Up", id="up", show=False, tooltip="row before"),
    Binding("pagedown", "page(1)", "Page down", id="page-down", show=False, tooltip="a page down"),
    Binding("pageup", "page(-1)", "Page up", id="page-up", show=False, tooltip="a page up"),
    Binding("home", "first", "First", id="first", show=False, tooltip="first row"),
    Binding("end,G", "last", "Last", id="last", show=False, tooltip="last row"),
    Binding(
        "enter", "open", "Open", id="open", key_display="enter", tooltip="the process of this row, on the whole screen"
    ),
    Binding("s", "sort_next", "Sort", id="sort", show=False, tooltip="sort by the next column (or click its title)"),
    Binding("S", "sort_reverse", "Reverse", id="reverse", show=False, tooltip="turn the order round"),
)

APP_BINDINGS = (
    Binding("slash", "filter", "Filter", id="filter", key_display="/", tooltip="show only rows that match"),
    Binding(
        "escape", "back_out", "Back", id="escape", key_display="esc",
        tooltip="leave the filter line or the process, or drop the filter",
    ),
    Binding("tab", "app.focus_next", "Next pane", id="next-pane", show=False, tooltip="listeners, clients, process"),
    Binding("shift+tab", "app.focus_previous", "Pane before", id="pane-before", show=False, tooltip="the other way"),
    Binding("f", "other_end", "Other end", id="other-end", show=False, tooltip="from a client to its server's process"),
    Binding("b", "came_from", "Back", id="back", show=False, tooltip="back to the client that f came from"),
    Binding(
        "exclamation_mark", "next_finding", "Look at", id="next-finding", key_display="!",
        tooltip="to the next row that is worth looking at, the worst first",
    ),
    Binding("x", "stop", "Stop", id="stop", tooltip="what listens here; first it shows who that is and what it costs"),
    Binding("w", "why", "Why", id="why", tooltip="explain this row's port: who answers, what is wrong, what to do"),
    Binding("W", "ask_why", "Ask why", id="ask-why", show=False, tooltip="the same for an address or a pasted error"),
    Binding("o", "open_in_browser", "Open in browser", id="browser", show=False, tooltip="the server of this row"),
    Binding("y", "copy_address", "Copy", id="copy", show=False, tooltip="this row's address; of a client its own"),
    Binding(
        "Y", "choose_copy", "Copy other", id="choose-copy", show=False,
        tooltip="pid, command line, curl, ss, lsof, tcpdump, tshark: choose from a list",
    ),
    Binding("l", "show_output", "Output", id="output", show=False, tooltip="what the process writes to files, live"),
    Binding(
        "e", "show_environment", "Environment", id="environment", show=False,
        tooltip="the process's variables, secrets masked, and its open files",
    ),
    Binding("g", "group", "Group", id="group", show=False, tooltip="clients by process and server, or one by one"),
    Binding("t", "time_wait", "Show TIME_WAIT", id="time-wait", show=False, tooltip="or hide those connections"),
    Binding("6", "ipv6", "Show ::1", id="ipv6", show=False, tooltip="what is on ::1 only, or hide it again"),
    Binding("p", "pause", "Pause", id="pause", tooltip="hold the screen still; looking goes on"),
    Binding("r", "look", "Look now", id="look", show=False, tooltip="do not wait for the next look"),
    Binding("question_mark", "help", "Keys", id="help", key_display="?", tooltip="this help"),
    Binding("ctrl+p", "command_palette", "Palette", id="palette", show=False, tooltip="every command by name; themes"),
    Binding("q", "quit", "Quit", id="quit", tooltip="leave loopmon"),
    Binding("ctrl+c", "interrupt", "Interrupt", id="interrupt", show=False, priority=True, tooltip="leave at once"),
)  # fmt: skip

WHY_BINDINGS = (
    Binding("p", "probe", "Probe", id="probe", tooltip="make one real connection, and say what became of it"),
    Binding("escape", "dismiss", "Close", id="close-why", key_display="esc", tooltip="back to the tables"),
)

OUTPUT_BINDINGS = (
    Binding("f", "follow", "Follow", id="follow", tooltip="stop following the file, or go on"),
    Binding("tab", "next_file", "Next file", id="next-file", tooltip="where the process writes to several"),
    Binding("escape", "dismiss", "Close", id="close-output", key_display="esc", tooltip="back to the tables"),
)

ENVIRONMENT_BINDINGS = (
    Binding("s", "secrets", "Secrets", id="secrets", tooltip="show what is masked, or mask it again"),
    Binding("escape", "dismiss", "Close", id="close-environment", key_display="esc", tooltip="back to the tables"),
)

STOP_BINDINGS = (
    Binding("y", "agree", "Stop", id="agree", tooltip="end what is listed, politely, and prove the port free"),
    Binding("k", "kill", "Kill", id="kill", tooltip="what has not ended, without a chance to clean up"),
    Binding(
        "escape", "leave", "Leave", id="leave-stop", key_display="esc", tooltip="stop nothing, or close the result"
    ),
)

SECTIONS = {
    "In a table": TABLE_BINDINGS,
    "Everywhere": APP_BINDINGS,
    "In an explanation": WHY_BINDINGS,
    "Before a stop": STOP_BINDINGS,
    "In a process's output": OUTPUT_BINDINGS,
    "In a process's environment": ENVIRONMENT_BINDINGS,
}

_NAMES = {
    "slash": "/", "question_mark": "?", "exclamation_mark": "!", "escape": "esc", "pagedown": "pgdn",
    "pageup": "pgup", "ctrl+p": "^p", "ctrl+c": "^c",
}  # fmt: skip


def key_name(binding: Binding) -> str:
    """As help and README write it: ``down j``, ``esc``."""
    return " ".join(_NAMES.get(key, key) for key in binding.key.split(","))
