"""A recurrence's loop over time: as a `scan` of single steps, or of all of it at once by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.control.scan import scan
from smelt.nn.recurrence import State
from smelt.tensor import Tensor
from smelt.tensor.elementary import where
from smelt.tensor.shaping import stack

Step = Callable[[Tensor, State, Tensor, Tensor | None], State]


class Loop:
    """One layer in one direction. `mask` (T, B, 1) says which positions count; None: all."""

    def __init__(self, step: Step, reverse: bool, mask: Tensor | None) -> None:
        self._step = step
        self.reverse = reverse
        self._mask = mask

    @property
    def masks(self) -> tuple[Tensor, ...]:
        """The mask, if there is one."""
        return () if self._mask is None else (self._mask,)

    def scanned(
        self, x: Tensor, initial: State, weight_hh: Tensor, bias_hh: Tensor | None
    ) -> tuple[State, Tensor]:
        """Returns the last state, and h at each position that counts, 0 elsewhere."""

        def body(state: State, inputs: Any) -> tuple[State, Tensor]:
            x, mask = inputs
            new = self._step(x, state, weight_hh, bias_hh)
            if mask is None:
                return new, new[0]
            return _kept(mask, new, state), where(mask, new[0], 0.0)

        return scan(body, initial, (x, self._mask), reverse=self.reverse)

    def all_states(self, x: Tensor, *given: Tensor) -> Tensor:
        """Returns the states (S, T, B, H) after each step, from what a `Sequence` is given."""
        rest = list(given)
        mask = None if self._mask is None else rest.pop()
        bias = rest.pop() if rest[-1].ndim == 1 else None
        weight = rest.pop()

        def body(state: State, inputs: Any) -> tuple[State, State]:
            x, mask = inputs
            new = self._step(x, state, weight, bias)
            state = new if mask is None else _kept(mask, new, state)
            return state, state

        return stack(scan(body, tuple(rest), (x, mask), reverse=self.reverse)[1])

    def ends_of(self, states: Tensor) -> tuple[State, Tensor]:
        """Returns what `scanned` does, from the states after each step."""
        last = 0 if self.reverse else states.shape[1] - 1
        final = tuple(states[number, last] for number in range(states.shape[0]))
        return final, states[0] if self._mask is None else where(self._mask, states[0], 0.0)


def _kept(mask: Tensor, new: State, before: State) -> State:
    """Returns the new states where they count, elsewhere those before."""
    return tuple(where(mask, a, b) for a, b in zip(new, before, strict=True))
