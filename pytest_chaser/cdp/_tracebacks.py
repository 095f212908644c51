"""Short tracebacks: an error of a call points at the line that made the call, not at the machinery between."""

from __future__ import annotations

import functools
import os
import sysconfig
from types import TracebackType
from typing import TypeVar

E = TypeVar("E", bound=BaseException)

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_LIBRARIES = tuple(f"{os.sep}{name}{os.sep}" for name in ("pyppeteer", "websockets", "pyee", "trio"))


@functools.lru_cache(maxsize=1024)
def _is_machinery(path: str) -> bool:
    return path.startswith((_OURS, _STANDARD, "<")) or any(part in path for part in _LIBRARIES)


def shorten(error: E) -> E:
    """Return the error with the frames of libraries taken out of its traceback.

    What stays are frames of the user's own code, such as a predicate that raised.
    """
    kept: list[TracebackType] = []
    step = error.__traceback__
    while step is not None:
        if not _is_machinery(step.tb_frame.f_code.co_filename):
            kept.append(step)
        step = step.tb_next
    short: TracebackType | None = None
    for step in reversed(kept):
        short = TracebackType(short, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return error.with_traceback(short)
