"""Program: the operators of a PyTorch graph in order, each as the call of a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt.block import Block
from smelt.errors import CompileError
from smelt.location import running

__all__ = ["Call", "Program", "Rule", "Value", "unsupported"]

Rule = Callable[..., Any]  # takes the arguments of an ATen operator, with tensors of Smelt's


@dataclass(frozen=True, slots=True)
class Value:
    """What an argument refers to: an input of the program, or the result of an earlier call."""

    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """One operator.

    Attributes:
        operator: its name in PyTorch, as in "aten.add.Tensor".
        rule: what computes it.
        arguments, options: of the rule; a Value stands for a tensor or a length.
        dropped: values that nothing reads later.
        modules: the path of the module that called it, name by name.
        line: `file:line` of the user's code.
    """

    operator: str
    rule: Rule
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    dropped: tuple[int, ...]
    modules: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class Program:
    """Inputs are the first values; the result of each call is the next one."""

    inputs: int
    calls: tuple[Call, ...]
    outputs: tuple[Any, ...]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Returns the outputs for these inputs.

        Errors and graphs name the module and the line in PyTorch that each operation comes from.
        """
        values = list(inputs)
        around = list(running.modules)
        for call in self.calls:
            place = Block(running, line=call.line or running.line, modules=[*around, *call.modules])
            with place:
                options = {name: _given(one, values) for name, one in call.options.items()}
                values.append(
                    call.rule(*[_given(one, values) for one in call.arguments], **options)
                )
            for number in call.dropped:
                values[number] = None
        return [_given(output, values) for output in self.outputs]

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """The program itself, which nothing changes."""
        return self


def _given(argument: Any, values: list[Any]) -> Any:
    """Returns an argument with what its Values refer to."""
    kind = type(argument)
    if kind is Value:
        return values[argument.number]
    if kind is tuple or kind is list:
        return [_given(one, values) for one in argument]
    if kind is slice:
        return slice(*[_given(bound, values) for bound in _bounds(argument)])
    return argument


def _bounds(part: slice) -> tuple[Any, Any, Any]:
    return part.start, part.stop, part.step


def unsupported(why: str) -> CompileError:
    """Returns the error for arguments of an operator that Smelt cannot compute."""
    return CompileError(f"from_torch: {why}")
