"""Write the README's table of options from `pytest_chaser/_config.py`, where every option is defined.

Run it after a change of an option: `python scripts/options_table.py`. A test fails while the two differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_chaser._config import OPTIONS, Option

README = Path(__file__).resolve().parent.parent / "README.md"
START = "<!-- options: written by scripts/options_table.py -->"
END = "<!-- end of options -->"


def shown(value: object) -> str:
    """Return a default as one would write it in an ini file."""
    if value is None or value == () or value == frozenset():
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def row(option: Option) -> str:
    """Return the line of the table for one option."""
    marker = f", marker `{option.name}=`" if option.marker else ""
    first = f"`{option.switch}`" if option.cli else f"(ini `{option.ini}`, variable `{option.variable}` only)"
    cells = (first, option.help + marker, option.parser.accepts, shown(option.default))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def table() -> str:
    """Return the whole table."""
    head = ["| option | what it says | accepted | default |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(row(option) for option in OPTIONS)])


def written(text: str) -> str:
    """Return the README's text with the table as it should be."""
    before, rest = text.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


def main() -> int:
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
