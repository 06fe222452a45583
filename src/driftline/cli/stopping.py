"""What SIGTERM and Ctrl-C do: while work goes on they ask it to finish, before that they end the command.

A handler that raises can hit upon code that swallows whatever is raised, such as a finaliser. So a signal is also
remembered, and what begins after it finishes at once.
"""

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNALLED = 128
"""Plus the number of the signal that ended a command: its exit status, as shells have it."""
STDERR = 2
"""By its number: where `sys.stderr` is somebody's buffer, nobody reads it any more."""
GIVE_UP_S = 2.0
"""After the time that a stop may take a process that still has not ended goes by itself."""


class StopEarly(BaseException):
    """A signal came before there was work that could finish."""


class Asked:
    """Whether a signal came, and which was the first."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._timer: threading.Timer | None = None

    @property
    def status(self) -> int:
        """The exit status that tells of the signal; 0 without one."""
        return 0 if self.by is None else SIGNALLED + self.by

    def take(self, number: int) -> bool:
        """Note a signal. Returns whether it is the first."""
        first = self.by is None
        self.by = self.by or signal.Signals(number)
        return first

    def give_up_after(self, seconds: float, give_up: Callable[[], None]) -> None:
        """Call `give_up` after so long, unless `relax` comes first.

        Where a library waits with Python's lock held, no thread runs that could call it. Then the process ends a moment
        later, and prints where each thread stands.
        """
        self._timer = threading.Timer(seconds, give_up)
        self._timer.daemon = True
        self._timer.start()
        faulthandler.dump_traceback_later(seconds + GIVE_UP_S, exit=True, file=STDERR)

    def relax(self) -> None:
        """Do not give up any more."""
        if self._timer is not None:
            self._timer.cancel()
            faulthandler.cancel_dump_traceback_later()

    def forget(self) -> signal.Signals | None:
        """Be as new. Returns what was the first."""
        self.relax()
        by, self.by = self.by, None
        return by


_EARLY = Asked()
"""What this process was asked before there was work."""


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Exit with 130 on Ctrl-C and 143 on SIGTERM.

    By default a SIGTERM closes nothing that is open, and the first process of a container ignores it. A Ctrl-C in the
    middle of code that a library makes from text would end Python by the signal itself, whatever is caught.
    """

    def on_signal(number: int, _frame: object) -> None:
        _EARLY.take(number)
        sys.exit(SIGNALLED + number)

    with _handled_by(on_signal):
        try:
            yield
        finally:
            _EARLY.forget()


@contextmanager
def ending_before_work() -> Iterator[None]:
    """Leave the block on SIGTERM and SIGINT as if it were done: what it has begun needs not be finished."""

    def on_signal(number: int, _frame: object) -> None:
        if _EARLY.take(number):
            _EARLY.give_up_after(GIVE_UP_S, lambda: os._exit(0))  # a library may wait without hearing of signals
        raise StopEarly

    if _EARLY.forget():
        sys.exit(0)
    with _handled_by(on_signal):
        try:
            yield
        except StopEarly:
            log.info("%s: no work in progress: stopping", _EARLY.by.name if _EARLY.by else "")
        finally:
            _EARLY.forget()


@contextmanager
def stopping_on_signals(stop: Callable[[], None], deadline_s: float | None) -> Iterator[Asked]:
    """Call `stop` on SIGTERM and SIGINT. With a deadline, a process that is still there after it ends all the same.

    Ending so loses nothing: the next owner of each task begins at its last checkpoint.
    """
    asked = Asked()

    def give_up() -> None:
        log.error(
            "not finished within the `shutdown` time: exiting; the next owner reads again what no checkpoint holds"
        )
        os._exit(1)

    def on_signal(number: int, _frame: object) -> None:
        stop()
        if asked.take(number) and deadline_s is not None:
            asked.give_up_after(deadline_s + GIVE_UP_S, give_up)
            log.info("%s: stopping", signal.Signals(number).name)

    with _handled_by(on_signal):
        if early := _EARLY.forget():
            on_signal(early, None)
        try:
            yield asked
        finally:
            asked.relax()


@contextmanager
def _handled_by(handler: Callable[[int, object], None]) -> Iterator[None]:
    tell = sys.unraisablehook

    def tell_others(swallowed: "sys.UnraisableHookArgs") -> None:
        if not isinstance(swallowed.exc_value, SystemExit | StopEarly):  # ours: it is remembered, see the module's head
            tell(swallowed)

    held = {number: signal.signal(number, handler) for number in SIGNALS}
    sys.unraisablehook = tell_others
    try:
        yield
    finally:
        sys.unraisablehook = tell
        for number, restored in held.items():
            signal.signal(number, restored)
