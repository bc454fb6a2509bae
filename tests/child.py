"""Python in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python(*arguments, text=True, **environment: str) -> subprocess.CompletedProcess:
    """`python *arguments` in the course's folder, with these variables besides this process's."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=text,
        timeout=600,
    )
