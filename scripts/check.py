"""Check everything: lint, layers, types, the whole suite on one Python and its short part on each other one.

With arguments, only the named checks run: `scripts/test lint type`, `scripts/test 3.12`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environment import FOLDER, ROOT, Environment, SetupError, digest, project_digest, say
from interpreters import CURRENT, find_interpreters

RESULTS = FOLDER / "results"
OUTCOMES = ("passed", "failed", "skipped")
LOWEST_PYTHON = "3.10"


@dataclass
class Check:
    """One tox environment to run, and what came of it."""

    name: str
    title: str
    python: Path
    seconds: float = 0.0
    ok: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def line(self) -> str:
        counts = ", ".join(f"{number} {word}" for word, number in self.counts.items() if number or word == "passed")
        return f"  {'ok  ' if self.ok else 'FAIL'}  {self.title:<42} {self.seconds:6.0f} s  {counts}"


def plan(wanted: Sequence[str]) -> list[Check]:
    """Return the checks to run, the cheapest first and the whole suite last."""
    pythons = find_interpreters()
    here = pythons[CURRENT]
    checks = [Check("lint", "lint and layers", here), Check("type", "types", here)]
    for version, path in pythons.items():
        if version == LOWEST_PYTHON:
            # The oldest Python is also the one for the oldest dependencies: two limits in one run.
            checks.append(Check("lowest", f"short suite, lowest versions, Python {version}", path))
        elif version != CURRENT:
            checks.append(Check(short_name(version), f"short suite on Python {version}", path))
    checks.append(Check(f"py{CURRENT.replace('.', '')}", f"whole suite on Python {CURRENT}", here))
    if wanted:
        checks = [check for check in checks if wanted_by(check, wanted)]
    return checks


def short_name(version: str) -> str:
    """Return the tox environment that runs the short suite on a version of Python."""
    return f"py{version.replace('.', '')}-short"


def wanted_by(check: Check, wanted: Sequence[str]) -> bool:
    """Return whether a check is meant by one of the words: its name, or its version of Python."""
    return any(word == check.name or check.title.endswith(f" {word}") for word in wanted)


def run(check: Check, environment: Environment, *, installed: bool) -> None:
    """Run one check; its output goes where ours goes."""
    say(check.title)
    started = time.monotonic()
    command = [environment.bin / "tox", "run", "--quiet", "-e", check.name, "--discover", check.python]
    if installed and (ROOT / ".tox" / check.name).exists():
        command.append("--skip-pkg-install")
    results = RESULTS / check.name
    results.mkdir(parents=True, exist_ok=True)
    for old in results.glob("*.xml"):
        old.unlink()
    variables = {**os.environ, "CHASER_TEST_RESULTS": str(results)}
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, check=False
    )
    check.ok = done.returncode == 0
    check.seconds = time.monotonic() - started
    for outcome in outcomes(results):
        check.counts[outcome] = check.counts.get(outcome, 0) + 1


def outcomes(results: Path) -> Iterator[str]:
    """Read what became of each test from the JUnit files of a check."""
    for path in sorted(results.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                yield "failed"
            else:
                yield "skipped" if case.find("skipped") is not None else "passed"


def main() -> int:
    started = time.monotonic()
    try:
        environment = Environment("check", ["check"])
        environment.ensure()
        environment.install_browser()
    except SetupError as error:
        print(f"test: {error}", file=sys.stderr)
        return 2
    say(f"set up in {time.monotonic() - started:.1f} s")
    checks = plan(sys.argv[1:])
    if not checks:
        print(f"test: there is no check named {' '.join(sys.argv[1:])}", file=sys.stderr)
        return 2
    made_from = digest([ROOT / "tox.ini"], project_digest())
    for check in checks:
        stamp = RESULTS / f"{check.name}.made-from"
        run(check, environment, installed=stamp.exists() and stamp.read_text(encoding="utf-8") == made_from)
        stamp.write_text(made_from, encoding="utf-8")
    print(f"\nRan in {(time.monotonic() - started) / 60:.1f} minutes:")
    print("\n".join(check.line for check in checks))
    totals = {word: sum(check.counts.get(word, 0) for check in checks) for word in OUTCOMES}
    print(", ".join(f"{number} {word}" for word, number in totals.items()))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
