"""Guards: what a trace took as constant besides the arguments, checked at every call.

A step is compiled for the settings of its modules and optimizers, for the presence or absence of a
`.grad`, for values that Python read while it was traced, for NumPy arrays that it used, and for the
values of the names that it reads (`closure.py`). A trace without gradients does not serve a call
with them.
"""

from __future__ import annotations

from typing import Any

from smelt import guards
from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.closure import Closure
from smelt.tracing.engine import context


class Guards:
    """The guards of one trace."""

    __slots__ = (
        "_arrays",
        "_closure",
        "_grad_enabled",
        "_gradients",
        "_hold",
        "_modules",
        "_settings",
        "_values",
        "_version",
    )

    def __init__(self, traced: Traced, closure: Closure) -> None:
        self._grad_enabled = context.grad_enabled
        self._closure = closure
        self._arrays = traced.arrays
        self._modules = traced.modules
        self._settings = self._fingerprints()
        self._version = guards.version()
        self._hold = True  # whether the settings were the traced ones at that version
        self._gradients = tuple([gradient for gradient in traced.gradients if gradient.is_guarded])
        self._values = traced.values

    def check(self) -> bool:
        """Returns whether everything that the trace depends on is unchanged."""
        version = guards.version()
        if version != self._version:
            self._hold, self._version = self._fingerprints() == self._settings, version
        return (
            self._hold
            and (self._grad_enabled or not context.grad_enabled)
            and (not self._gradients or all(gradient.check() for gradient in self._gradients))
            and self._closure.check()
            and (not self._values or all(x.stored.tobytes() == seen for x, seen in self._values))
            and (not self._arrays or all(x.tobytes() == seen for x, seen in self._arrays))
        )

    def change(self) -> str:
        """Returns what has changed since the step was traced, in words; "" for nothing."""
        change = self._closure.change()
        if change is not None:
            return (
                f"{change.name}, which the step reads, is not what it was ({change.difference}). "
                "Pass it as an argument, or keep it in a tensor that copy_ changes"
            )
        if self._fingerprints() != self._settings:
            return "a setting of a module or an optimizer changed"
        if context.grad_enabled and not self._grad_enabled:
            return "gradients are enabled now, and were not"
        return "" if self.check() else "a .grad, or a value that the step looks at, changed"

    def _fingerprints(self) -> tuple[Any, ...]:
        return tuple([module.fingerprint() for module in self._modules])
