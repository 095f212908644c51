"""How the text of an option becomes a value: one callable for each kind, which says what it accepts.

A parser raises ValueError for a text it does not accept; who calls it knows where the text came from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ON = frozenset({"1", "true", "yes", "on"})
OFF = frozenset({"0", "false", "no", "off"})
MIN_TTL = 60
MAX_TTL = 3600


class Parser:
    """Turns text into a value; `accepts` completes the sentence "give ..." in an error and in the documentation.

    Not a dataclass: every pytest run on the machine loads this module, and making one costs half a millisecond.
    """

    __slots__ = ("accepts", "many", "metavar", "parse")

    def __init__(
        self, accepts: str, parse: Callable[[str], Any], metavar: str = "VALUE", *, many: bool = False
    ) -> None:
        self.accepts = accepts
        self.parse = parse
        self.metavar = metavar
        self.many = many

    def __call__(self, text: str) -> Any:
        return self.parse(text.strip())


def choice(*values: str) -> Parser:
    """Accept one of `values`, exactly as written."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return Parser(f"one of {', '.join(values)}", parse, metavar="{" + ",".join(values) + "}")


def whole(low: int, high: int | None = None, *, unit: str = "", metavar: str = "N") -> Parser:
    """Accept a whole number of at least `low` and at most `high`."""

    def parse(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError(text)
        return value

    limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
    return Parser(f"a whole number{f' of {unit}' if unit else ''} {limits}", parse, metavar)


def duration(*, low: float = 0.0, unit: str = "seconds", metavar: str = "SECONDS") -> Parser:
    """Accept a finite number greater than `low`; with `low` negative, zero is accepted as well."""

    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or value <= low:
            raise ValueError(text)
        return value

    return Parser(f"a number of {unit} {'of at least 0' if low < 0 else f'greater than {low:g}'}", parse, metavar)


def look_ahead() -> Parser:
    """Accept `auto` or a whole number of sessions."""

    def parse(text: str) -> str | int:
        if text == "auto":
            return text
        value = int(text)
        if value < 0:
            raise ValueError(text)
        return value

    return Parser("auto or a whole number of sessions of at least 0", parse, metavar="{auto,N}")


def switch() -> Parser:
    """Accept what people write for yes and no."""

    def parse(text: str) -> bool:
        lowered = text.lower()
        if lowered in ON:
            return True
        if lowered in OFF:
            return False
        raise ValueError(text)

    return Parser("true or false", parse, metavar="BOOL")


def words(*values: str) -> Parser:
    """Accept a comma-separated list of words out of `values`; the empty list is written `off`."""

    def parse(text: str) -> frozenset[str]:
        if text == "off":
            return frozenset()
        found = [word.strip() for word in text.split(",") if word.strip()]
        if not found or any(word not in values for word in found):
            raise ValueError(text)
        return frozenset(found)

    return Parser(f"off, or a comma-separated list of {', '.join(values)}", parse, metavar="LIST")


def label() -> Parser:
    """Accept any text that is not empty and has no line break or other control character."""

    def parse(text: str) -> str:
        if not text or any(not c.isprintable() for c in text):
            raise ValueError(text)
        return text

    return Parser("a name without control characters", parse, metavar="NAME")


def folder() -> Parser:
    """Accept a path; relative ones are resolved later, against pytest's root folder."""

    def parse(text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError(text)
        return Path(text).expanduser()

    return Parser("the path of a folder", parse, metavar="DIR")


def size() -> Parser:
    """Accept a viewport: `WIDTHxHEIGHT` in CSS pixels."""

    def parse(text: str) -> dict[str, int]:
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
        if match is None or not all(int(group) for group in match.groups()):
            raise ValueError(text)
        return {"width": int(match[1]), "height": int(match[2])}

    return Parser("WIDTHxHEIGHT in pixels, (width, height) or a dict with width and height", parse, metavar="WxH")


def lines() -> Parser:
    """Accept a list of texts, one a line."""

    def parse(text: str) -> tuple[str, ...]:
        return tuple(line.strip() for line in text.splitlines() if line.strip())

    return Parser("texts, one a line", parse, metavar="LINES", many=True)


def patterns() -> Parser:
    """Accept a list of regular expressions, one a line."""

    def parse(text: str) -> tuple[re.Pattern[str], ...]:
        try:
            return tuple(re.compile(line.strip()) for line in text.splitlines() if line.strip())
        except re.error as error:
            raise ValueError(text) from error

    return Parser("regular expressions, one a line", parse, metavar="LINES", many=True)


def as_text(value: object) -> str:
    """Write a value given in Python (by a marker) as the text that the command line would have."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{value.get('width')}x{value.get('height')}"
    if isinstance(value, Iterable):
        parts = [str(part) for part in value]
        return "x".join(parts) if parts and all(part.isdigit() for part in parts) else ",".join(parts)
    return str(value)
