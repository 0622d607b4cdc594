"""Symbolic numbers: what was computed with them holds wherever their guards hold."""

from __future__ import annotations

import json
import math
import operator
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from smelt.compiler.loops import tile_sizes
from smelt.ir.symbolic import Guards, decided, formula, is_symbolic, largest, sample

OPERATIONS = (
    *(operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod),
    *(operator.truediv, max, min, operator.lt, operator.eq),
)


def program(seed: int) -> Callable[[Any, Any], list[Any]]:
    """Returns a random computation on two numbers."""
    draw = random.Random(seed)
    steps = [
        (draw.choice(OPERATIONS), draw.random(), draw.random(), draw.randrange(1, 20))
        for _ in range(8)
    ]

    def run(n: Any, m: Any) -> list[Any]:
        values: list[Any] = [n, m, 3]
        for operation, a, b, number in steps:
            left = values[int(a * len(values))]
            right = values[int(b * len(values))] if b < 0.6 else number
            try:
                result = operation(left, right)
            except ZeroDivisionError:
                result = 7
            if isinstance(result, bool):
                result = n + 1 if result else m * 2
            elif isinstance(result, float):
                result = math.ceil(result) if -1e6 < result < 1e6 else 5
            values.append(result)
        return values

    return run


@pytest.mark.parametrize("seed", range(300))
def test_formulas_hold_where_the_guards_do(seed: int) -> None:
    run, guards = program(seed), Guards()
    numbers = run(guards.symbol("n", 37), guards.symbol("m", 50))
    holds, values = guards.test(), guards.values(numbers)
    assert holds(37, 50)
    assert list(values(37, 50)) == run(37, 50)
    draw = random.Random(seed)
    for _ in range(20):
        place = draw.randrange(2, 80), draw.randrange(2, 80)
        if holds(*place):
            assert list(values(*place)) == run(*place)


def test_what_wants_an_int_settles_the_number() -> None:
    for use in (range, lambda n: [0] * n, lambda n: np.zeros(n), float, lambda n: "abcdef"[:n]):
        guards = Guards()
        use(guards.symbol("n", 5))
        holds = guards.test()
        assert holds(5)
        assert not holds(6)


def test_equal_polynomials_ask_nothing() -> None:
    guards = Guards()
    n = guards.symbol("n", 9)
    assert 8 * n == n * 8
    assert 0 - (0 - n) == n
    assert (6 * n + 5) // 3 == 2 * n + 1
    assert (6 * n + 5) % 3 == 2
    assert n * n // n == n
    assert n > 0
    assert n * 8 != 3
    assert not guards.outcomes


def test_it_passes_for_an_int() -> None:
    n = Guards().symbol("n", 9)
    assert isinstance(n, int)
    assert is_symbolic(n * 2 + 1)
    assert not is_symbolic(n - n)
    assert sample(n * 2) == 18


def test_the_largest_value_bounds_the_symbol() -> None:
    guards = Guards()
    n = guards.symbol("n", 37)
    assert largest(4 * n) == 512
    assert largest(n % 8 + 1) == 8
    holds = guards.test()
    assert holds(128)
    assert not holds(129)


def test_division_by_what_may_be_zero_is_guarded() -> None:
    guards = Guards()
    n = guards.symbol("n", 9)
    quotient = 100 // (n - 4)
    assert sample(quotient) == 20
    assert not guards.test()(4)
    with pytest.raises(ZeroDivisionError):
        n // (n - n)


@pytest.mark.parametrize("seed", range(60))
def test_numbers_and_questions_are_taken_up_from_their_texts(seed: int) -> None:
    """What a file has kept of a compilation says the same of every length."""
    guards = Guards()
    values = program(seed)(guards.symbol("n", 9), guards.symbol("m", 20))
    guards.note("(n == 9)", np.bool_(True))
    texts = [formula(value) for value in values]
    record = json.loads(json.dumps(guards.record()))
    others = Guards()
    for name, value in guards.symbols.items():
        others.symbol(name, value)
    numbers = [others.number(text) for text in texts]
    others.restore(record)
    assert others.outcomes == guards.outcomes
    assert others.is_settled == guards.is_settled
    for places in ((9, 20), (9, 21), (12, 5), (2, 100)):
        assert others.values(numbers)(*places) == guards.values(values)(*places)
        assert others.test()(*places) == guards.test()(*places)


def test_functions_of_questions_are_found_again() -> None:
    guards = Guards()
    decided(tile_sizes.size_class, guards.symbol("n", 9))
    others = Guards()
    others.symbol("n", 9)
    others.restore(json.loads(json.dumps(guards.record())))
    assert [others.test()(n) for n in (9, 16, 17)] == [True, True, False]
