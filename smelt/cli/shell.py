"""Commands to type next, as the shell here takes them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["predict_command", "program", "resume_command"]


def predict_command(
    run: Path, file: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> str:
    """Returns the command that predicts for a file with the model of a run, with options."""
    words = [f"{program()} predict {shlex.quote(str(run))} {_near(file)}"]
    for name, value in (options or {}).items():
        values = value if isinstance(value, list) else [value]
        words.append(f"--{name.replace('_', '-')} {shlex.join(map(str, values))}")
    return " ".join(words)


def resume_command(run: Path) -> str:
    """Returns the command that continues an interrupted training."""
    return f"{program()} train --resume {shlex.quote(str(run))}"


def program() -> str:
    """Returns the command that starts this program from the current folder."""
    started, installed = Path(sys.argv[0]), shutil.which("smelt")
    if started.stem != "smelt":  # python -m smelt, or another program that calls `main`
        return f"{_near(sys.executable)} -m smelt"
    return "smelt" if installed and os.path.samefile(installed, started) else _near(started)


def _near(path: str | os.PathLike[str]) -> str:
    """Returns a path for the shell, from the present folder where that is shorter."""
    absolute = os.path.abspath(path)
    near = os.path.join(".", name) if os.sep not in (name := os.path.relpath(absolute)) else name
    return shlex.quote(min(near, absolute, key=len))
