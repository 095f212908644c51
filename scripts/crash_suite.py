"""Run every scenario of tests/e2e/crash and say what was counted, as the table of docs/crash-safety.md.

`--write` puts the table into the document and the README; other arguments are pytest's (`-k "SIGKILL and broker"`).
Two scenarios run at a time. Exit code 0 says that every scenario kept the promise.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environment import FOLDER, ROOT, Environment, SetupError

SUITE = ROOT / "tests" / "e2e" / "crash"
DOCUMENT, README = ROOT / "docs" / "crash-safety.md", ROOT / "README.md"
RESULTS = FOLDER / "results" / "crash.xml"
START = "<!-- crash suite: written by scripts/crash-suite --write -->"
END = "<!-- end of crash suite -->"
TITLES = {
    "test_plain_ends": "ends by itself",
    "test_signals_and_kills": "ended from outside",
    "test_ends_from_within": "ended from within, and slow ends",
    "test_api_trouble": "the API or the network is in trouble",
    "test_state_folder": "ledgers, disks, several runs",
    "test_container": "process 1 of a container",
    "test_with_browsers": "with real browsers",
}
COUNTS = ("created", "left_open", "foreign_deletes", "processes", "ledgers")


@dataclass
class Group:
    """The scenarios of one module: their names, and the sums of what was counted."""

    names: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))


def scenario_name(test: str) -> str:
    """Return what a test is called in the table: its scenario's name, else its own as a sentence."""
    function, _, parameter = test.partition("[")
    sentence = function.removeprefix("test_").replace("_", " ")
    parameter = parameter.removesuffix("]")
    if function.startswith(
        ("test_a_run_ends_by_itself", "test_a_run_is_ended", "test_a_run_with_browsers", "test_the_api_is_in_trouble")
    ):
        return parameter
    return f"{sentence} ({parameter})" if parameter else sentence


def read_results(path: Path) -> dict[str, Group]:
    """Read the JUnit file of a run of the suite."""
    groups = {module: Group() for module in TITLES}
    for case in ElementTree.parse(path).iter("testcase"):
        module = (case.get("classname") or "").rpartition(".")[2]
        if module not in groups:
            continue
        group, name = groups[module], scenario_name(case.get("name") or "")
        group.names.append(name)
        if case.find("failure") is not None or case.find("error") is not None:
            group.failed.append(name)
        for item in case.iter("property"):
            if item.get("name") in COUNTS:
                group.sums[str(item.get("name"))] += int(item.get("value") or 0)
    return groups


def table(groups: Mapping[str, Group]) -> str:
    """Return the table, a row for each group."""
    total = Group()
    rows = [
        "| how it ends | scenarios | kept | created | left open | foreign deletes | processes left | ledgers left |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for module, group in groups.items():
        rows.append(_row(TITLES[module], group))
        total.names += group.names
        total.failed += group.failed
        for name in COUNTS:
            total.sums[name] += group.sums[name]
    return "\n".join([*rows, _row("all", total)])


def names(groups: Mapping[str, Group], seconds: float) -> str:
    """Return how long it took, and a paragraph for each group that names its scenarios."""
    took = f"It took {seconds / 60:.0f} minutes on {os.cpu_count()} cores, two scenarios at a time."
    paragraphs = [
        f"**{TITLES[module].capitalize()}**: {'; '.join(sorted(one.names))}." for module, one in groups.items()
    ]
    return "\n\n".join([took, *paragraphs])


def _row(title: str, group: Group) -> str:
    kept = len(group.names) - len(group.failed)
    return f"| {title} | {len(group.names)} | {kept} | " + " | ".join(str(group.sums[name]) for name in COUNTS) + " |"


def write(path: Path, text: str) -> None:
    """Put a text between the marks of a document."""
    before, rest = path.read_text(encoding="utf-8").split(START)
    path.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def run_suite(arguments: Sequence[str]) -> int:
    """Run the scenarios in the environment of this clone; return pytest's exit code."""
    environment = Environment("crash", ["test"])
    forked = Environment("crash-forked", ["forked"])
    for one in (environment, forked):
        one.ensure()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    options = ["-m", "slow or not slow", "--numprocesses=2", "--dist=worksteal", f"--junit-xml={RESULTS}"]
    done = subprocess.run(
        [str(environment.bin / "pytest"), str(SUITE), *options, *arguments],
        cwd=ROOT,
        env={**os.environ, "CHASER_TEST_FORKED_PYTHON": str(forked.bin / "python")},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    started = time.monotonic()
    try:
        status = run_suite(arguments)
    except SetupError as error:
        print(f"crash-suite: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - started
    groups = read_results(RESULTS)
    print(f"{table(groups)}\n\n{names(groups, seconds)}")
    if "--write" in sys.argv[1:]:
        write(README, table(groups))
        write(DOCUMENT, f"{table(groups)}\n\n{names(groups, seconds)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
