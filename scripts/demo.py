"""Run the examples, one of whose tests fails on purpose, and check that exactly that came about.

Exit code 0 says that it did: the tests that should pass passed, the other failed and left its picture and report.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from environment import ROOT, Environment, SetupError, say

RESULTS = ROOT / "chaser-results" / "demo"
REPORT = RESULTS / "report.html"
SUITE = ("01-first-test", "02-async-tests", "06-a-failure-to-look-at")
MEANT_TO_FAIL = {"test_the_bill_adds_up"}


def run_suite(environment: Environment) -> Path:
    """Run the examples on this machine's browser; return the JUnit file that says what came out."""
    outcome = RESULTS / "outcome.xml"
    shutil.rmtree(RESULTS, ignore_errors=True)
    command = [
        environment.bin / "pytest",
        "-c",
        "pytest.ini",
        *SUITE,
        "--chaser-mode=local",
        f"--chaser-output={RESULTS}",
        f"--html={REPORT}",
        "--self-contained-html",
        f"--junit-xml={outcome}",
        *sys.argv[1:],
    ]
    subprocess.run([str(part) for part in command], cwd=ROOT / "examples", stdin=subprocess.DEVNULL, check=False)
    return outcome


def problems(outcome: Path) -> list[str]:
    """Return what is not as it should be, one sentence each."""
    if not outcome.exists():
        return ["pytest ended before it wrote its results; see above"]
    passed: set[str] = set()
    failed: set[str] = set()
    for case in ElementTree.parse(outcome).iter("testcase"):
        broken = case.find("failure") is not None or case.find("error") is not None
        (failed if broken else passed).add(case.get("name", "?"))
    found = [f"{name} should have passed" for name in sorted(failed - MEANT_TO_FAIL)]
    found += [f"{name} should have failed" for name in sorted(MEANT_TO_FAIL - failed)]
    if not passed:
        found.append("no test passed")
    if not pictures():
        found.append(f"the failed test left no picture under {RESULTS}")
    if not REPORT.exists():
        found.append(f"there is no report at {REPORT}")
    return found


def pictures() -> list[Path]:
    """Return the screenshots that the failed test left."""
    return sorted(RESULTS.rglob("*.png"))


def main() -> int:
    started = time.monotonic()
    try:
        environment = Environment("demo", ["demo"])
        environment.ensure()
        environment.install_browser()
    except SetupError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    say(f"set up in {time.monotonic() - started:.1f} s")
    wrong = problems(run_suite(environment))
    if wrong:
        print("\n".join(["", "This is not what should have come out:", *(f"  - {line}" for line in wrong)]))
        return 1
    print("\nAs it should be: one test failed, on purpose, and left something to look at.")
    for path in pictures():
        print(f"  picture  {path.relative_to(ROOT)}")
    print(f"  report   {REPORT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
