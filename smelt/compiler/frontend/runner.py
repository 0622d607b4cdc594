"""The runner of an executable: itself, or a wrapper that checks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.compiler.artifacts import Traced
from smelt.compiler.runtime.executable import Executable
from smelt.settings import current

Make = Callable[[Traced], Executable]  # compiles a trace


def runner(executable: Executable, make: Make) -> Any:
    """Returns what runs an executable under the current settings: with `check_nan`, a wrapper that
    checks it, for which `make` compiles.
    """
    if not current.check_nan:
        return executable
    if executable.checked is None:
        # loaded when it is needed, not by the import of smelt
        from smelt.compiler.frontend.nan_check import CheckedExecutable

        executable.checked = CheckedExecutable(executable, make)
    return executable.checked
