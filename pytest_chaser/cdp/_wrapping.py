"""Which values a view stands before, and how values are turned into views and back, however deep they are nested."""

from __future__ import annotations

import dataclasses
import enum
import weakref
from collections.abc import Callable
from typing import Any

from pyee import EventEmitter

_LIBRARIES = ("pyppeteer.", "pytest_chaser.cdp.")
_PLAIN = (BaseException, enum.Enum, type, dict, str, bytes, int, float, list, tuple, set, frozenset)
# Values that hold nothing live. Looked at in each call of a test, so not put together each time.
_SCALARS = (str, bytes, int, float, type(None))
_known: weakref.WeakKeyDictionary[type[Any], bool] = weakref.WeakKeyDictionary()


def is_live(kind: type[Any]) -> bool:
    """Return whether objects of this type belong to the connection's loop, and so need a view.

    True for the classes of pyppeteer and of this package and what derives from them; their data classes, enums and
    errors are plain values.
    """
    known = _known.get(kind)
    if known is None:
        known = _known[kind] = _is_live(kind)
    return known


def _is_live(kind: type[Any]) -> bool:
    if issubclass(kind, _PLAIN) or dataclasses.is_dataclass(kind):
        return False
    return issubclass(kind, EventEmitter) or any(
        f"{base.__module__}.".startswith(_LIBRARIES) for base in kind.__mro__ if base is not object
    )


def convert(value: Any, one: Callable[[Any], Any]) -> Any:
    """Return `value` with `one` applied to what is not a plain container; containers without a change stay the same.

    `one` returns its argument where there is nothing to convert.
    """
    if isinstance(value, _SCALARS):
        return value
    kind = type(value)
    if kind is dict:
        pairs = {key: convert(item, one) for key, item in value.items()}
        return pairs if any(pairs[key] is not item for key, item in value.items()) else value
    if kind in (list, tuple, set, frozenset):
        items = [convert(item, one) for item in value]
        return kind(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return one(value)
