"""The step cache: an equal graph is compiled once, and what is found runs like what was made."""

from __future__ import annotations

import gc
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache, step_cache, threads
from smelt.errors import NumericsError
from smelt.ir import description
from tests.compiler.runtime.steps import Counted, X, bits, constants, forget, trained, training
from tests.compiler.runtime.test_object_cache import imported

pytestmark = pytest.mark.usefixtures("passes")


# --- found or not ---------------------------------------------------------------------------------


def test_a_second_model_of_the_same_shape_takes_the_code_of_the_first(passes: Counted) -> None:
    (one, first), (other, second) = training(), training("of_another_name")
    assert trained(one, first) == trained(other, second)
    assert passes.runs == 1
    assert one.executables.newest.native is other.executables.newest.native
    assert [times.is_from_cache for times in (*one.times, *other.times)] == [False, True]
    before = bits(list(first.parameters()))
    other(X, smelt.tensor([1, 1, 1, 1]))
    assert bits(list(first.parameters())) == before  # each has memory of its own


def test_a_new_process_runs_no_pass(passes: Counted) -> None:
    expected = trained(*training())
    forget()
    step, model = training()
    assert trained(step, model) == expected
    assert passes.runs == 1
    (times,) = step.times
    assert times.is_from_cache
    assert times.passes == {}
    assert times.compile == times.native > 0


def test_code_that_nobody_uses_is_dropped(passes: Counted) -> None:
    step, model = training()
    trained(step, model)
    assert len(step_cache._linked) == 1
    del step, model
    gc.collect()
    assert len(step_cache._linked) == 0


def test_another_constant_is_another_step(passes: Counted) -> None:
    for number in (1.0, 2.0):
        assert bits(smelt.compile(lambda x, number=number: x + number)(X)) == bits(X + number)
    assert passes.runs == 2


def key_of(function: Callable[..., Any] = lambda x: x + 1.0) -> str:
    step = smelt.compile(function)
    step(X)
    found = description.describe(step.executables.newest.traced.graph)
    assert found is not None
    return step_cache._key(found)


def test_the_key_depends_on_all_that_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before, host = key_of(), machine.host()
    assert key_of(lambda y: y + 1.0) == before
    changes: list[tuple[Any, str, Any]] = [
        (machine, "host", lambda: machine.Target(host.triple, host.cpu, host.features + ",+more")),
        (machine, "host_cpu", lambda: "another description of the CPU"),
        (machine, "LEVEL", 1),
        (machine, "llvm_version", lambda: "1.2.3"),
        (threads, "available", not threads.available),
        (object_cache, "smelt_fingerprint", lambda rooms: "another source"),
        (np, "__version__", "1.2.3"),
        (np, "show_config", lambda mode: {"SIMD Extensions": "others"}),
        (sys, "version", "1.2.3"),
    ]
    graph = smelt.compile(lambda x: x + 1.0)
    graph(X)
    found = description.describe(graph.executables.newest.traced.graph)
    assert found is not None
    keys = [before]
    for where, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            keys.append(step_cache._key(found))
    assert len(set(keys)) == len(changes) + 1


def test_a_change_of_the_source_makes_another_key(tmp_path: Path) -> None:
    for room in step_cache.ROOMS:
        source, copy = object_cache.PACKAGE / room, tmp_path / room
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    fingerprint = object_cache.smelt_fingerprint.__wrapped__
    before = fingerprint(tmp_path, step_cache.ROOMS)
    assert before == object_cache.smelt_fingerprint(rooms=step_cache.ROOMS)
    for room in step_cache.ROOMS:
        module = max((tmp_path / room).rglob("*.py")) if room[-3:] != ".py" else tmp_path / room
        text = module.read_text()
        module.write_text(text.replace("a", "b", 1))  # the size stays
        assert fingerprint(tmp_path, step_cache.ROOMS) != before, module
        module.write_text(text)
    assert fingerprint(tmp_path, step_cache.ROOMS) == before


def test_rooms_hold_all_that_makes_code_of_a_graph() -> None:
    """What the passes import lies in ROOMS, or computes nothing that they could use."""
    harmless = {
        "__init__.py", "absent_names.py", "block.py", "creation.py", "errors.py", "guards.py",
        "location.py", "locks.py", "markup.py", "name_families.py", "names.py", "pytorch_names.py",
        "random.py", "settings.py", "switches.py", "tree.py", "version.py",
    }  # fmt: skip
    seen = imported(object_cache.PACKAGE / "compiler/pipeline.py", harmless)
    assert len(seen) > 100
    for name in seen:
        rooms = [room for room in step_cache.ROOMS if name == room or name.startswith(f"{room}/")]
        assert rooms, name


def test_verify_runs_the_passes(passes: Counted) -> None:
    expected = trained(*training())
    with smelt.settings(verify=True):
        assert trained(*training()) == expected
    assert passes.runs == 2


def test_a_graph_without_a_description_is_compiled_each_time(
    passes: Counted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = trained(*training())
    monkeypatch.setattr(step_cache, "describe", lambda graph: None)
    assert trained(*training()) == trained(*training()) == expected
    assert passes.runs == 3
    axes = smelt.compile(lambda x: x * x.shape[0], dynamic={"x": {0: "n"}})
    assert (axes(X).numpy() == (X * 4).numpy()).all()
    assert (axes(X[:3]).numpy() == (X[:3] * 3).numpy()).all()


# --- every kind of step ---------------------------------------------------------------------------


def loops(x: Tensor) -> tuple[Tensor, ...]:
    table = smelt.tensor(np.linspace(0, 1, 3, dtype=np.float32))
    carry, rows = smelt.scan(lambda c, row: (c * 0.5 + row, (c * row).sum()), x[0], x)
    n, total = smelt.while_loop(
        lambda state: state[0] < 3,
        lambda state: (state[0] + 1, state[1] + state[0]),
        (smelt.tensor(0), 0 * x),
    )
    side = smelt.cond(x.sum() > 0, lambda: x * np.array([1, 2, 3], "f4"), lambda: x - table)
    return carry, rows, n, total, side


def slope(x: Tensor) -> Tensor:
    return smelt.grad(lambda a: (smelt.exp(a) * smelt.sin(a)).sum())(x)


def random(x: Tensor) -> tuple[Tensor, Tensor]:
    return x + smelt.randn(4, 3), smelt.randperm(5)


def several(x: Tensor) -> dict[str, Any]:
    return {"n": 3, "x": [x, x.T @ x, x > 0.5, x.argmax(), x.to(smelt.bfloat16), x[:0]]}


def extents(x: Tensor) -> Tensor:
    """NumPy's integers where Python's are usual."""
    two, six = np.array([2, 6])
    y = smelt.exp(x.reshape((two, six)))
    return (y @ y.T).cumsum(dim=int(two) - 1) + smelt.zeros((two, two)) + y.sum()


STEPS = [loops, slope, random, constants, several, extents]


@pytest.mark.parametrize("function", STEPS)
def test_what_is_found_gives_the_same_bits(function: Callable[..., Any], passes: Counted) -> None:
    results = []
    for way in ("made", "linked", "kept"):
        smelt.manual_seed(3)
        step = smelt.compile(lambda x: function(x))
        results.append(bits(_tensors(step(X))))
        if way == "linked":
            del step
            gc.collect()
            forget()
    assert results[0] == results[1] == results[2]
    assert passes.runs == 1


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in smelt.tree.flatten(result)[0] if isinstance(leaf, Tensor)]


def test_any_length_is_found(passes: Counted) -> None:
    def function(x: Tensor) -> tuple[Tensor, Any]:
        return (x * x.shape[0]).sum(dim=0) @ smelt.ones(3, 5) + x.mean(), x.shape[0]

    results, served = [], []
    for _ in ("made", "linked", "kept"):
        step = smelt.compile(lambda x: function(x), dynamic={"x": {0: "n"}})
        found = [step(smelt.arange(3.0 * n).reshape(n, 3)) for n in (5, 7, 9, 20, 33, 200, 2)]
        results.append((bits([tensor for tensor, _ in found]), [n for _, n in found]))
        served.append((len(step.executables._templates), step.traces))
        assert "kernels" in step.explain("summary")
        if len(results) == 2:
            del step
            forget()
    assert results[0] == results[1] == results[2]
    assert served[0] == served[1] == served[2]
    asked = served[0][0] + 3 * served[0][0]  # compiled once, and each time for `explain`
    assert passes.runs <= asked


def test_derivatives_through_compiled_functions(passes: Counted) -> None:
    def gradients() -> list[bytes]:
        function = smelt.compile(lambda x: (smelt.tanh(x) ** 3).sum())
        x = X.clone().requires_grad_()
        (first,) = smelt.autograd.grad(function(x), [x], create_graph=True)
        (second,) = smelt.autograd.grad(first.sum(), [x])
        return bits([first, second])

    made = gradients()
    count = passes.runs
    assert count > 1
    assert gradients() == made
    forget()
    assert gradients() == made
    assert passes.runs == count


def test_check_nan_after_a_hit(passes: Counted) -> None:
    def fails() -> str:
        weight = smelt.ones(3)

        @smelt.compile
        def step(x: Tensor) -> Tensor:
            weight.copy_(weight * smelt.log(x).sum(dim=0))
            return weight.sum()

        with smelt.settings(check_nan=True):
            step(X + 1)
            with pytest.raises(NumericsError) as error:
                step(X - 1)
        assert np.isfinite(weight.numpy()).all()
        return re.sub(r"0x\w+", "", str(error.value))

    first = fails()
    count = passes.runs
    forget()
    assert fails() == first
    assert passes.runs == count


def test_failed_checks_name_the_line_of_their_own_step() -> None:
    table = smelt.ones(4, 2)
    one = smelt.compile(lambda i: table[i])
    other = smelt.compile(
        lambda i: table[i],
    )
    messages = []
    for step in (one, other):
        step(smelt.tensor([0, 3]))
        with pytest.raises(smelt.errors.SmeltError) as error:
            step(smelt.tensor([0, 4]))
        messages.append(str(error.value))
    assert messages[0] != messages[1]  # two lines
    numbers = [re.sub(r":\d+", "", message) for message in messages]
    assert numbers[0] == numbers[1]


def test_a_step_within_a_step(passes: Counted) -> None:
    def run() -> list[bytes]:
        inner = smelt.compile(lambda x: smelt.exp(x) + 1)
        outer = smelt.compile(lambda x: inner(x) * inner(x + 1))
        return bits([outer(X), inner(X)])

    made = run()
    forget()
    assert run() == made
    assert passes.runs == 2


def test_explain_after_a_hit_shows_every_stage(passes: Counted) -> None:
    made, first = training()
    trained(made, first)
    forget()
    found, second = training()
    trained(found, second)
    assert passes.runs == 1
    assert "from the cache" in found.explain()
    assert "in passes" in made.explain()
    assert passes.runs == 2
    for stage in ("traced", "graph", "groups", "kernels", "plans", "scheduled", "llvm"):
        assert re.sub(r"#.*", "", found.explain(stage)) == re.sub(r"#.*", "", made.explain(stage))
    assert passes.runs == 2
    assert found.memory() == made.memory()


def test_repeat_and_over_after_a_hit(passes: Counted) -> None:
    def run() -> list[bytes]:
        step, model = training()
        smelt.manual_seed(2)
        y = smelt.tensor([0, 1, 1, 0])
        losses = [step.repeat(5, X, y), step.over(X, y, batch_size=2, epochs=2)]
        return bits([*losses, *model.parameters()])

    made = run()
    count = passes.runs
    forget()
    assert run() == made
    assert passes.runs == count
