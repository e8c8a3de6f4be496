"""Every benchmark, one after another: ratios in one run, never single times."""

import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run each ``bench_*.py`` beside this file."""
    failed = [
        script.name
        for script in sorted(Path(__file__).parent.glob("bench_*.py"))
        if subprocess.run([sys.executable, str(script)], check=False).returncode
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
