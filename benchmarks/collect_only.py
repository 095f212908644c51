"""What the plugin costs a run that does not use it: `pytest --collect-only` with it and with an empty one, in turn.

Prints the median of each and their ratio; exits 1 if the ratio is above the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.05
# Each names one plugin, as pytest reads the metadata of everything installed to find it.
VARIANTS = {"without": "empty_plugin", "with": "pytest_chaser.plugin"}


def collect(folder: Path, plugin: str) -> float:
    """Run pytest once in a process of its own; return the seconds it took."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", plugin]
    # Other plugins of this environment would drown the difference. Bytecode is cached, as it is for what pip installed.
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="runs of each kind (default: 40)")
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.joinpath("empty_plugin.py").touch()
        folder.joinpath("test_nothing.py").write_text("def test_nothing():\n    pass\n", encoding="utf-8")
        for number in range(rounds + 2):
            for variant, plugin in VARIANTS.items():
                taken = collect(folder, plugin)
                # The first two fill the caches.
                if number >= 2:
                    seconds[variant].append(taken)
    medians = {variant: statistics.median(values) for variant, values in seconds.items()}
    ratio = medians["with"] / medians["without"]
    for variant, median in medians.items():
        print(f"{variant:>8} the plugin: median {median * 1000:6.1f} ms of {rounds}")
    print(f"   ratio: {ratio:.3f} (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
