"""Reading the API's JSON strictly: each value has the documented type, or the answer is a protocol error."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from ._exceptions import ApiProtocolError

# `datetime.fromisoformat` of Python 3.10 reads neither `Z` nor more or fewer than 3 or 6 digits of a fraction.
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<minute>\d\d:\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?"
    r"\s*(?P<offset>[Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


class JsonObject:
    """One JSON object whose fields are taken out by name and type; `rest()` is what nobody asked for.

    `what` names it in errors. Values never appear in errors: one of them may be a secret.
    """

    def __init__(self, data: object, what: str) -> None:
        if not isinstance(data, dict):
            raise ApiProtocolError(f"expected {what} as a JSON object, got {kind(data)}")
        self._data: dict[str, Any] = data
        self._what = what
        self._known: set[str] = set()

    def text(self, name: str, *, required: bool) -> str:
        """Return a string that must not be empty if it is required."""
        value = self.optional_text(name)
        if required and not value:
            raise ApiProtocolError(f"{self._what} came without {name!r}")
        return value or ""

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None if it is absent or null."""
        value = self._take(name)
        return value if value is None or isinstance(value, str) else self._wrong(name, "a string", value)

    def flag(self, name: str) -> bool | None:
        """Return a boolean, or None if it is absent or null."""
        value = self._take(name)
        return value if value is None or isinstance(value, bool) else self._wrong(name, "true or false", value)

    def number(self, name: str) -> float | None:
        """Return a number, or None if it is absent or null."""
        value: float | None = self._take(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            self._wrong(name, "a number", value)
        return value

    def whole_number(self, name: str) -> int | None:
        """Return an integer, or None if it is absent or null; `22500.0` is an integer to JSON."""
        value = self.number(name)
        if value is None or isinstance(value, int):
            return value
        return int(value) if value.is_integer() else self._wrong(name, "a whole number", value)

    def time(self, name: str) -> datetime | None:
        """Return an RFC 3339 time as an aware `datetime` in UTC, or None if it is absent, null or empty."""
        value = self.optional_text(name)
        if not value:
            return None
        moment = parse_time(value)
        return moment if moment is not None else self._wrong(name, "an RFC 3339 time", value)

    def items(self, name: str) -> list[Any]:
        """Return a list that has to be there."""
        value = self._take(name)
        return value if isinstance(value, list) else self._wrong(name, "a list", value)

    def rest(self) -> dict[str, Any]:
        """Return the fields that were not taken."""
        return {name: value for name, value in self._data.items() if name not in self._known}

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._data.get(name)

    def _wrong(self, name: str, expected: str, value: object) -> Any:
        raise ApiProtocolError(f"{self._what} has {name!r} that is not {expected} but {kind(value)}")


def parse_json(body: bytes) -> object:
    """Return the JSON document in `body`; raises `ApiProtocolError` on anything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    if not body.strip():
        raise ApiProtocolError("the body is empty instead of JSON")
    start = body.lstrip()[:200].lower()
    looks_like = "HTML" if start.startswith((b"<!doctype", b"<html")) else f"{len(body)} bytes of something else"
    raise ApiProtocolError(f"the body is {looks_like} instead of JSON")


def parse_time(text: str) -> datetime | None:
    """Return an RFC 3339 time in UTC, or None if it is none.

    Digits beyond microseconds are cut off, a time without an offset is UTC, a leap second is the second after it.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    second = int(match["second"])
    leap = second == 60
    fraction = (match["fraction"] or "")[:6].ljust(6, "0")
    try:
        written = f"{match['day']} {match['minute']}:{59 if leap else second:02} {fraction} +0000"
        moment = datetime.strptime(written, "%Y-%m-%d %H:%M:%S %f %z") - _offset(match["offset"])
    except (ValueError, OverflowError):
        return None
    return moment + timedelta(seconds=1) if leap else moment


def _offset(text: str | None) -> timedelta:
    if text is None or text in "Zz":
        return timedelta(0)
    digits = text[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if text[0] == "-" else size


def kind(value: object) -> str:
    """Return what a JSON value is, without saying what is in it."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
