"""Each example does what its README says: the command that stands there, the outcome that stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/README.md"))


def command_of(readme: str) -> list[str]:
    """Return the one pytest command of a README, with the pytest that runs this test."""
    (line,) = re.findall(r"^    (pytest\b.*)$", readme, re.MULTILINE)
    return [str(Path(sys.executable).with_name("pytest")), *shlex.split(line)[1:]]


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of a user without an account, untouched by the run that we are part of."""
    ours = ("CHASER_KEY", "CHASER_API_URL", "CHASER_MODE", "PYTEST_", "COV_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_ends_as_its_readme_says(folder: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    project = tmp_path / folder.name
    shutil.copytree(folder, project, ignore=shutil.ignore_patterns("__pycache__", "chaser-results", ".*"))
    readme = (project / "README.md").read_text(encoding="utf-8")
    (expected,) = re.findall(r"^Expected: `([^`]+)`", readme, re.MULTILINE)

    done = subprocess.run(
        [*command_of(readme), "-p", "no:cacheprovider"],
        cwd=project,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )

    assert re.search(rf"^=+ {expected} in ", done.stdout, re.MULTILINE), done.stdout
    assert done.returncode == ("failed" in expected), done.stdout
    assert bool(list(project.rglob("*.png"))) == ("failed" in expected), done.stdout
