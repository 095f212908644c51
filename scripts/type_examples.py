"""Check the types of every example, each by itself: their folders are projects and share module names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def main() -> int:
    failed = False
    for folder in sorted(path.parent for path in EXAMPLES.glob("*/conftest.py")):
        files = [path.name for path in sorted(folder.glob("*.py"))]
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "../../.mypy_cache/examples", *files]
        print(f"{folder.name}: ", end="", flush=True)
        failed |= subprocess.run(command, cwd=folder, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
