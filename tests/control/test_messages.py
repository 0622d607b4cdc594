"""What loops and branches say of the mistakes that one makes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import smelt
from smelt import Tensor
from smelt.errors import ArgumentError, GradientError, SmeltError, TraceError

both_engines = pytest.mark.parametrize("run", [lambda f: f, smelt.compile], ids=["eager", "native"])
Run = Callable[[Callable[..., Any]], Callable[..., Any]]
ONES, YES = smelt.ones(3), smelt.tensor(True)


def test_what_leaves_a_body_says_so_where_it_is_used() -> None:
    kept: list[Tensor] = []

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        kept.append(h + x)
        return h, None

    def listed(x: Tensor) -> Tensor:
        smelt.scan(body, smelt.zeros(3), x)
        return smelt.stack(kept)

    def summed(x: Tensor) -> Tensor:
        total = smelt.zeros(3)

        def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
            nonlocal total
            total = total + x
            return h, None

        smelt.scan(body, smelt.zeros(3), x)
        return total

    line = listed.__code__.co_firstlineno + 2
    with pytest.raises(TraceError, match=r"outside the body .* \(scan stacks outputs\)") as caught:
        smelt.compile(listed)(smelt.ones(2, 3))
    assert str(caught.value).endswith(f"test_messages.py:{line}")
    with pytest.raises(TraceError, match="outside the body .* in the carry"):
        smelt.compile(summed)(smelt.ones(2, 3))


def test_what_leaves_an_inner_body_says_so_in_the_outer_one() -> None:
    kept: list[Tensor] = []

    def inner(h: Tensor, _: None) -> tuple[Tensor, None]:
        kept.append(h + 1)
        return h, None

    def outer(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        smelt.scan(inner, h, length=2)
        return kept[0] * 2, None

    with pytest.raises(TraceError, match="outside the body") as caught:
        smelt.compile(lambda x: smelt.scan(outer, smelt.zeros(3), x))(smelt.ones(2, 3))
    assert str(caught.value).endswith(f"test_messages.py:{outer.__code__.co_firstlineno + 2}")


def test_an_optimizer_inside_a_body_is_refused_and_says_what_to_write() -> None:
    w = smelt.ones(3).requires_grad_()

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        w.grad = smelt.grad(lambda w: (w * x).sum())(w)
        return h, None

    with pytest.raises(GradientError, match=r"by assignment.*Optimizers.*copy_\(w - lr \* g\)"):
        smelt.compile(lambda x: smelt.scan(body, smelt.ones(3), x))(smelt.ones(2, 3))


@both_engines
def test_carries_say_which_part_of_their_tree_differs(run: Run) -> None:
    first = {"a": ONES, "b": (ONES, ONES)}
    wrong: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda c: {"a": c["a"]}, "it lacks the key 'b'"),
        (lambda c: c | {"c": ONES}, "it has the new key 'c'"),
        (lambda c: c | {"b": list(c["b"])}, "['b'] is a list of 2 instead of a tuple of 2"),
        (lambda c: c | {"b": c["b"][:1]}, "['b'] is a tuple of 1 instead of a tuple of 2"),
        (lambda c: c | {"b": (c["a"][:2], ONES)}, "['b'][0] starts with shape (3,) and becomes"),
        (lambda c: c | {"a": c["a"] > 0}, "['a'] starts with float32 and becomes bool"),
    ]
    for change, says in wrong:
        with pytest.raises(SmeltError) as caught:
            run(lambda change=change: smelt.scan(lambda c, _: (change(c), None), first, length=2))()
        assert says in str(caught.value)


def test_a_length_that_is_a_tensor_is_refused_by_name() -> None:
    loop = smelt.compile(lambda n: smelt.scan(lambda c, _: (c, None), ONES, length=n))
    with pytest.raises(TraceError, match="scan: length must be a Python int.*while_loop"):
        loop(3)


def test_a_list_of_tensors_where_one_belongs_says_to_join_them() -> None:
    def turn(h: Tensor, x: Any) -> tuple[Tensor, None]:
        return smelt.tanh(x @ smelt.ones(3, 3) + h), None

    with pytest.raises(TraceError, match=r"a list of 2 traced tensors .* smelt\.stack"):
        smelt.compile(lambda x: smelt.scan(turn, ONES, [x, x]))(smelt.ones(2, 3))
    total = smelt.compile(lambda x: smelt.matmul(x, smelt.ones(3, 3)))
    with pytest.raises(TraceError, match="a list of 2 lists .* pass the step a tensor"):
        total([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])


def test_the_branches_are_named_when_they_differ() -> None:
    x = smelt.ones(3)
    wrong: list[tuple[Any, Any, str]] = [
        (lambda: {"a": x}, lambda: {"a": x[:2]}, "result['a']: the branches return shape (3,) and"),
        (lambda: (x, x), lambda: (x, x > 0), "result[1]: the branches return float32 and bool"),
        (lambda: (x, x), lambda: [x, x], "it is a list of 2 instead of a tuple of 2"),
    ]
    for then, otherwise, says in wrong:
        with pytest.raises(SmeltError) as caught:
            smelt.compile(lambda p, a=then, b=otherwise: smelt.cond(p, a, b))(YES)
        assert says in str(caught.value)


@both_engines
def test_a_value_in_place_of_a_branch_is_refused(run: Run) -> None:
    with pytest.raises(ArgumentError, match=r"`otherwise` must be a function.*got a Tensor.*where"):
        run(lambda p, x: smelt.cond(p, lambda: x, -x))(YES, smelt.ones(3))
