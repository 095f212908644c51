"""A call's arguments as one short line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARGUMENT_LIMIT = 1000
"""Characters kept of one argument; what is shown is shortened further, after secrets have been masked."""


def shortened_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments as they would be written in a call, long ones cut."""
    parts = [_shown(argument) for argument in args]
    parts += [f"{name}={_shown(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return (
            repr(value) if len(value) <= ARGUMENT_LIMIT else f"{value[:ARGUMENT_LIMIT]!r}... ({len(value)} characters)"
        )
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, bool | int | float) or value is None:
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_shown(item)}" for key, item in list(value.items())[:20]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(item) for item in value[:20]) + "]"
    if callable(value):
        return f"<{getattr(value, '__name__', type(value).__name__)}>"
    return f"<{type(value).__name__}>"
