"""The table of docs/crash-safety.md names every scenario there is."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_names_every_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import crash_suite

    collect = ["--collect-only", "-q", "-p", "no:cacheprovider", "-m", "slow or not slow", str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *collect], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    collected: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        path, separator, test = line.partition("::")
        if separator and Path(path).stem in crash_suite.TITLES:
            collected[crash_suite.scenario_name(test)] += 1
    document = crash_suite.DOCUMENT.read_text(encoding="utf-8")
    text = document.partition(crash_suite.START)[2].partition(crash_suite.END)[0]
    paragraphs = [line for line in text.splitlines() if line.startswith("**")]
    named = Counter(name for line in paragraphs for name in line.partition(": ")[2].removesuffix(".").split("; "))
    assert named == collected
