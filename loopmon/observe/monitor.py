"""The one thread that looks: a reading, a snapshot, a frame, a wait, again.

Owns the timing. Hands each frame to one callback, which is called in this thread and must neither
block nor raise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from loopmon.model import Change, Frame, ProcessId, Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import Reading, Source, SourceError

MAX_SHARE = 10
"""A poll may take one tenth of the interval; past that the interval grows."""
AWAY_FACTOR = 5
"""How much longer the interval is while nobody looks at the terminal tab."""
LISTENER_LANE_S = 0.25
"""How often listeners alone are looked at, where the source makes that cheap."""
CPU_LOOKS = 5
"""loopmon's own cost is averaged over so many looks."""
JOIN_S = 0.2
"""How long stopping waits for a poll that is under way. The thread is a daemon: it dies with the process."""

_log = logging.getLogger(__name__)


class Monitor:
    """Start it once, stop it once; the setters may be called from any thread."""

    def __init__(
        self,
        source: Source,
        on_frame: Callable[[Frame], None],
        *,
        interval_s: float = 1.0,
        scope: Scope | None = None,
        judge: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
    ) -> None:
        """``judge`` adds to each snapshot what is worth looking at in it."""
        self._source = source
        self._on_frame = on_frame
        self._judge = judge
        self._interval_s = interval_s
        self._scope = scope or Scope()
        self._focus: ProcessId | None = None
        self._away = False
        self._observer = Observer(source.name)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loopmon-monitor", daemon=True)
        self._polls: deque[float] = deque(maxlen=3)
        self._last: Frame | None = None
        self._cpu_marks = [(time.monotonic(), time.process_time())]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting at most ``JOIN_S`` for a poll that is under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        elif self._thread.ident is None:
            self._source.close()  # it never ran; otherwise the thread closes it

    def look_now(self) -> None:
        """Cut the present wait short."""
        self._wake.set()

    def set_scope(self, scope: Scope) -> None:
        self._scope = scope
        self._wake.set()

    def set_focus(self, process: ProcessId | None) -> None:
        """The process whose details are read anew at every look."""
        self._focus = process

    def set_away(self, away: bool) -> None:
        """Slow down while nobody looks; look at once when somebody does again."""
        self._away = away
        if not away:
            self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            frame = self._whole_look()
            if self._stopping.is_set():
                break
            self._hand_over(frame)
            self._wait(frame.interval_s)
        self._source.close()

    def _hand_over(self, frame: Frame) -> None:
        self._last = frame
        self._on_frame(frame)

    def _wait(self, interval_s: float) -> None:
        """Until the next look is due. Where listeners are cheap to ask for, a new one does not wait so long."""
        due = time.monotonic() + interval_s
        while not self._wake.is_set() and (left_s := due - time.monotonic()) > 0:
            if not self._source.has_listener_lane or self._away:
                self._wake.wait(left_s)
            elif not self._wake.wait(min(left_s, LISTENER_LANE_S)) and left_s > LISTENER_LANE_S:
                self._glance()

    def _glance(self) -> None:
        """A cheap look at the listeners and the drilled-down process, and a frame if it brings news."""
        if self._last is None or self._last.stale:
            return
        frame = self._look(lambda: self._source.read_listeners(self._focus))
        if frame is not None and not self._stopping.is_set():
            last = self._last
            self._hand_over(
                replace(frame, cpu_percent=last.cpu_percent, interval_s=last.interval_s, slowed=last.slowed)
            )

    def _look(self, read: Callable[[], Reading | None]) -> Frame | None:
        """A frame from what ``read`` gives, also if that fails; None where it gives nothing."""
        started = time.monotonic()
        snapshot = self._last.snapshot if self._last else None
        changes: tuple[Change, ...] = ()
        stale = None
        try:
            reading = read()
            if reading is None:
                return None
            seen, changes = self._observer.observe(reading, self._scope, self._focus)
            snapshot = self._judge(seen)
        except SourceError as error:
            stale = str(error)
        except Exception as error:  # noqa: BLE001  the one boundary: a fault here must not end the monitor
            _log.exception("a look failed")
            stale = f"internal error: {type(error).__name__}: {error}"
        return Frame(
            number=self._last.number + 1 if self._last else 1,
            snapshot=snapshot,
            changes=changes,
            stale=stale,
            interval_s=self._interval_s,
            slowed=None,
            poll_s=time.monotonic() - started,
            cpu_percent=0.0,
        )

    def _whole_look(self) -> Frame:
        frame = self._look(lambda: self._source.read(self._focus))
        assert frame is not None, "a whole look gives a reading or fails"
        self._polls.append(frame.poll_s)
        interval_s, slowed = self._interval()
        return replace(frame, interval_s=interval_s, slowed=slowed, cpu_percent=self._cpu_percent())

    def _interval(self) -> tuple[float, str | None]:
        """The wait after this look, and why it is longer than asked for.

        The fastest of the last polls decides, so that one slow poll on a busy machine changes nothing.
        """
        usual_poll_s = min(self._polls)
        interval_s, slowed = self._interval_s, None
        if usual_poll_s * MAX_SHARE > interval_s:
            interval_s, slowed = usual_poll_s * MAX_SHARE, f"a look takes {usual_poll_s * 1000:.0f} ms"
        if self._away:
            interval_s, slowed = interval_s * AWAY_FACTOR, "nobody is looking"
        return interval_s, slowed

    def _cpu_percent(self) -> float:
        """The average over the last looks: a figure that changes every second cannot be read."""
        self._cpu_marks.append((time.monotonic(), time.process_time()))
        if self._last is not None and len(self._cpu_marks) % CPU_LOOKS:
            return self._last.cpu_percent
        (wall, cpu), (last_wall, last_cpu) = self._cpu_marks[-1], self._cpu_marks[0]
        self._cpu_marks = self._cpu_marks[-1:]
        return 100 * (cpu - last_cpu) / max(wall - last_wall, 1e-6)
