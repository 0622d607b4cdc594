"""The walk over bytecode keeps the stack as CPython does: after each instruction, at each jump."""

from __future__ import annotations

import argparse
import ast
import dis
import functools
import inspect
import json.decoder
import textwrap
import typing
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any

import pytest

from smelt.compiler.frontend import stack_walk
from smelt.compiler.frontend.stack_walk import NOTHING, Frame, Known, StackWalk, Use

MODULES = [argparse, ast, dis, functools, inspect, json.decoder, textwrap, typing, stack_walk]
CALLS = ("CALL", "PRECALL")  # in 3.11 these two share what a call does to the stack


class Nobody:
    """Knows nothing of what the walk asks for."""

    def global_name(self, namespace: dict[str, Any], name: str) -> Known:
        return NOTHING

    def cell(self, cell: Any, name: str) -> Known:
        return NOTHING

    def attribute(self, value: Known, name: str) -> Known:
        return NOTHING

    def item(self, value: Known, key: Known) -> Known:
        return NOTHING

    def iterated(self, value: Known) -> None:
        """Nothing."""

    def entries(self, value: Known) -> Known:
        return NOTHING

    def unpacked(self, value: Known, count: int) -> list[Known]:
        return [NOTHING] * count

    def made(self, parts: Any) -> tuple[Any, ...]:
        return tuple(parts)

    def changed_in_place(self, value: Known) -> bool:
        return False

    def call(self, callee: Known, arguments: list[Known], named: dict[str, Known]) -> Known:
        return NOTHING

    def read(self, value: Known, use: Use) -> None:
        """Nothing."""


class Watched(StackWalk):
    """A walk that notes where its stack is not as high as CPython's."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame, Nobody())
        self.wrong: list[str] = []
        self._is_exact = True  # not in handlers of errors, whose stack is not known
        self._exact_jumps: dict[int, bool] = {}

    def _arrive(self, offset: int) -> None:
        other = self._waiting.get(offset)
        exact_jump = self._exact_jumps.get(offset, False)
        if not self._is_reachable:
            self._is_exact = exact_jump
        elif other is not None and self._is_exact and exact_jump and len(other) != len(self._stack):
            self.wrong.append(f"jump to {offset}")
        super()._arrive(offset)

    def _step(self, step: dis.Instruction) -> None:
        before = len(self._stack)
        super()._step(step)
        effect = dis.stack_effect(step.opcode, step.arg, jump=False)
        is_other = step.opname in (*CALLS, "RETURN_GENERATOR") or not self._is_reachable
        if self._is_exact and not is_other and len(self._stack) != before + effect:
            self.wrong.append(f"{step.opname} at {step.offset}")

    def _jump(self, step: dis.Instruction, top: Known) -> None:
        self._exact_jumps.setdefault(step.argval, self._is_exact)
        super()._jump(step, top)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_stack_is_as_high_as_that_of_cpython(module: ModuleType) -> None:
    for code in codes(compile(inspect.getsource(module), module.__name__, "exec")):
        walk = Watched(Frame(code, {}, {}))
        walk.run()
        assert not walk.wrong, code
