"""Hooks on modules: functions that get a module's inputs, outputs, and the gradients of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smelt import guards
from smelt.errors import ArgumentTypeError, GradientError
from smelt.tensor import Tensor
from smelt.tracing.hooks import HookHandle, register

__all__ = ["HookHandle", "Hooked"]

Hook = Callable[..., Any]
KINDS = ("_hooks", "_pre_hooks", "_backward_hooks")


class Hooked:
    """A base class of Module."""

    _hooks: Mapping[int, Hook] = {}
    _pre_hooks: Mapping[int, Hook] = {}
    _backward_hooks: Mapping[int, Hook] = {}

    def register_forward_hook(self, hook: Hook) -> HookHandle:
        """Calls `hook(module, inputs, output)` after each forward; a result replaces the output.

        Returns:
            A handle whose `remove()` removes the hook.
        """
        return self._register("_hooks", hook)

    def register_forward_pre_hook(self, hook: Hook) -> HookHandle:
        """Calls `hook(module, inputs)` before each forward; a result replaces the inputs.

        Returns:
            A handle whose `remove()` removes the hook.
        """
        return self._register("_pre_hooks", hook)

    def register_full_backward_hook(self, hook: Hook) -> HookHandle:
        """Calls `hook(module, grad_inputs, grad_outputs)` when the gradients of the inputs are
        known.

        Both are tuples, with None for tensors without a gradient. For a module with exactly one
        input that has a gradient, a result replaces that gradient.

        Returns:
            A handle whose `remove()` removes the hook.
        """
        return self._register("_backward_hooks", hook)

    def _register(self, kind: str, hook: Hook) -> HookHandle:
        if not callable(hook):
            raise ArgumentTypeError(
                f"{type(self).__name__}: a hook must be a function, got a {type(hook).__name__}"
            )
        handle = register(vars(self).setdefault(kind, {}), hook, guards.changed)
        guards.changed()
        return handle

    def _before(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the inputs that the hooks before `forward` leave."""
        for hook in tuple(self._pre_hooks.values()):
            replaced = hook(self, inputs)
            if replaced is not None:
                inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        return inputs

    def _after(self, inputs: tuple[Any, ...], output: Any) -> Any:
        """Returns the output that the hooks behind `forward` leave."""
        for hook in tuple(self._hooks.values()):
            replaced = hook(self, inputs, output)
            output = output if replaced is None else replaced
        return output


class BackwardPass:
    """Collects the gradients at both ends of one call of a module, for its backward hooks.

    Args:
        module: the module.
        inputs: its arguments.
    """

    def __init__(self, module: Hooked, inputs: tuple[Any, ...]) -> None:
        self._module = module
        self._grad_inputs: list[Tensor | None] = [None] * len(inputs)
        self._grad_outputs: list[Tensor | None] = []
        self._waiting = {place for place, x in enumerate(inputs) if _has_gradient(x)}
        self._replaceable = len(self._waiting) == 1
        # copies: an input that is used elsewhere too has other gradients there
        self.inputs: tuple[Any, ...] = tuple(
            self._watched_input(place, x) if place in self._waiting else x
            for place, x in enumerate(inputs)
        )

    def _watched_input(self, place: int, x: Tensor) -> Tensor:
        copied = x.clone()

        def note(gradient: Tensor) -> Tensor | None:
            self._grad_inputs[place] = gradient
            self._waiting.discard(place)
            return None if self._waiting else self._call()

        copied.register_hook(note)
        return copied

    def watch(self, output: Any) -> Any:
        """Returns the output, whose gradients are collected from now on."""
        outputs = output if isinstance(output, tuple) else (output,)
        self._grad_outputs = [None] * len(outputs)
        watched = tuple(
            self._watched_output(place, y) if _has_gradient(y) else y
            for place, y in enumerate(outputs)
        )
        return watched if isinstance(output, tuple) else watched[0]

    def _watched_output(self, place: int, y: Tensor) -> Tensor:
        copied = y.clone()

        def note(gradient: Tensor) -> None:
            self._grad_outputs[place] = gradient
            if not any(map(_has_gradient, self.inputs)):
                self._call()

        copied.register_hook(note)
        return copied

    def _call(self) -> Tensor | None:
        """Calls the hooks; returns what the last input's gradient is to be, or None."""
        outputs, replaced = tuple(self._grad_outputs), None
        for hook in tuple(self._module._backward_hooks.values()):
            result = hook(self._module, tuple(self._grad_inputs), outputs)
            if result is None:
                continue
            if not self._replaceable:
                raise GradientError(
                    f"register_full_backward_hook of {type(self._module).__name__}: a hook can "
                    "only replace the gradient of a module with exactly one input that requires "
                    "one; use register_hook on the tensors"
                )
            parts = result if isinstance(result, tuple) else (result,)
            replaced = next(part for part in parts if part is not None)
            self._grad_inputs = [None if g is None else replaced for g in self._grad_inputs]
        return replaced


def _has_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad
