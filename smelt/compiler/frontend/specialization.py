"""Specialization: one version of a step, and the calls that it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.compiler.frontend.differentiable import forbid_derivatives
from smelt.compiler.frontend.guards import Guards
from smelt.compiler.frontend.signature import Signature
from smelt.compiler.frontend.split_executable import SplitExecutable
from smelt.compiler.runtime.executable import Executable
from smelt.tensor import Tensor
from smelt.tracing.engine import context


@dataclass(frozen=True, slots=True)
class Specialization:
    """One executable, and the calls that it serves.

    `run` runs one step; if its results can be differentiated and gradients are enabled, it gives
    them a history. `run_checked` does the same with `check_nan`.
    """

    signature: Signature
    kinds: tuple[Any, ...]  # of a plain call: shape, dtype and `requires_grad` of each argument
    guards: Guards
    executable: Executable
    run: Callable[[Sequence[Tensor]], Any]
    run_checked: Callable[[Sequence[Tensor]], Any]
    split: SplitExecutable | None  # gives the results of `run` a history, if they have one
    wants_history: bool  # whether the results would have a history eagerly

    def are_tracked(self, arguments: Sequence[Tensor]) -> bool:
        """Returns whether results of a call with these arguments would have a history eagerly."""
        return (
            self.wants_history and context.grad_enabled and any(x.requires_grad for x in arguments)
        )

    def marked(self, result: Any, arguments: Sequence[Tensor]) -> Any:
        """Returns the results of a call; those that have no history, but would have one eagerly,
        get one that raises when it is differentiated.
        """
        if self.split is None and self.are_tracked(arguments):
            name = self.executable.name
            forbid_derivatives(tree.flatten(result)[0], arguments, name)
        return result
