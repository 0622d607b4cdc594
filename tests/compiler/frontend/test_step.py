"""What a compiled step means: states, arguments, results, versions, errors. Eager is the
reference.
"""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest

import smelt
from smelt import nn
from smelt.errors import ShapeError, TraceError
from tests.compiler.training import DATA, LABELS, Training, assert_same, both, numbers

# --- states ---------------------------------------------------------------------------------------


def test_training_agrees_with_eager_and_is_readable_between_calls() -> None:
    def run(compile):
        training = Training(compile)
        losses = []
        for _ in range(5):
            losses.append(training.step(DATA, LABELS).item())
            losses.append(float(training.model[0].weight.numpy().sum()))
        return losses

    np.testing.assert_allclose(*both(run), rtol=1e-4)


def test_random_numbers_advance_the_generator_as_eagerly() -> None:
    def run(compile):
        smelt.manual_seed(3)
        step = compile(lambda: (smelt.rand(5), smelt.randn(4, 3)))
        drawn = [step() for _ in range(3)]
        return drawn, smelt.default_generator().state.clone(), smelt.rand(2)

    eager, compiled = both(run)
    assert_same(eager, compiled, rtol=0)


def test_gradients_accumulate_without_zero_grad() -> None:
    def run(compile):
        w = numbers(4).requires_grad_()

        def step(x):
            (w * x).sum().backward()
            return w.grad.sum()

        compiled = compile(step)
        seen = [compiled(numbers(4, seed=n)).item() for n in range(3)]
        return smelt.tensor(seen), w.grad

    assert_same(*both(run))


def test_gradients_cleared_in_the_step_do_not_accumulate() -> None:
    def run(compile):
        w = numbers(4).requires_grad_()

        def step(x):
            w.grad = None
            (w * x).sum().backward()
            return w.grad * 1

        compiled = compile(step)
        return [compiled(numbers(4, seed=n)) for n in range(3)]

    assert_same(*both(run))


def test_states_that_swap() -> None:
    def run(compile):
        a, b, c = numbers(5), numbers(5, seed=1), numbers(5, seed=2)

        def step():
            old = a.clone()
            a.copy_(b)
            b.copy_(c)
            c.copy_(old)
            return a + b

        compiled = compile(step)
        return [compiled() for _ in range(4)], a, b, c

    assert_same(*both(run))


def test_a_state_read_after_its_update_and_before() -> None:
    def run(compile):
        count = smelt.zeros(3)

        def step():
            before = count * 1
            count.copy_(count + 1)
            middle = count * 10
            count.copy_(count * 2)
            return before, middle, count * 1, count.sum()

        compiled = compile(step)
        return [compiled() for _ in range(3)], count

    assert_same(*both(run))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 70)])
def test_a_state_that_is_reversed_onto_itself(shape) -> None:
    def run(compile):
        w = numbers(*shape)

        def step():
            w.copy_(w.reshape(-1).flip(0).reshape(shape) + w.cumsum(0) if shape else w * 2)

        compiled = compile(step)
        for _ in range(3):
            compiled()
        return w

    assert_same(*both(run), rtol=1e-4)


def test_a_state_scattered_into_itself() -> None:
    def run(compile):
        w, index = numbers(1), smelt.tensor([0, 0, 0])

        def step():
            w.copy_(smelt.zeros(1).at[index].add(w.expand(3)))

        compiled = compile(step)
        compiled()
        return w

    assert_same(*both(run))


def test_a_state_passed_as_an_argument_keeps_its_value_during_the_step() -> None:
    def run(compile):
        w = numbers(300)

        def step(x):
            w.copy_(w * 2)
            return x.flip(0) + w

        compiled = compile(step)
        return [compiled(w.clone()) for _ in range(2)], w

    eager, _ = both(run)
    w = numbers(300)

    @smelt.compile
    def step(x):
        w.copy_(w * 2)
        return x.flip(0) + w

    results = [step(w) for _ in range(2)]
    assert_same(eager, (results, w))
    w = numbers(300)
    before = w.clone()
    part = w[100:200]  # a view of the memory that changes
    half = smelt.compile(lambda x: (w.copy_(w * 2), x.flip(0) + 0)[1])
    np.testing.assert_array_equal(half(part).numpy(), before.numpy()[100:200][::-1])
    np.testing.assert_array_equal(half(part).numpy(), 2 * before.numpy()[100:200][::-1])


def test_captured_tensors_that_share_memory_are_refused_when_one_changes() -> None:
    w = numbers(4)
    view = w.reshape(2, 2)

    @smelt.compile
    def step():
        w.copy_(w + 1)
        return view.sum()

    with pytest.raises(TraceError, match="share"):
        step()
    assert smelt.compile(lambda: view.sum() + w.sum())().item() == pytest.approx(2 * w.sum().item())


def test_a_view_from_before_an_update_is_refused() -> None:
    w = numbers(4)

    @smelt.compile
    def step():
        view = w.reshape(2, 2)
        w.copy_(w + 1)
        return view.sum()

    with pytest.raises(TraceError, match="clone"):
        step()

    @smelt.compile
    def fine():
        kept = w.reshape(2, 2).clone()
        w.copy_(w + 1)
        return kept, w.reshape(2, 2)

    kept, now = fine()
    np.testing.assert_allclose(kept.numpy() + 1, now.numpy())


def test_copy_into_an_argument_is_refused() -> None:
    with pytest.raises(TraceError, match="argument"):
        smelt.compile(lambda x: x.copy_(x + 1))(numbers(3))


def test_the_same_tensor_captured_and_returned() -> None:
    w = numbers(3)
    before = w.clone()
    step = smelt.compile(lambda: (w.copy_(w + 1), w)[1])
    first = step()
    second = step()
    np.testing.assert_allclose(first.numpy(), before.numpy() + 1)
    np.testing.assert_allclose(second.numpy(), before.numpy() + 2)
    assert first is not w


# --- arguments and results ------------------------------------------------------------------------


def test_results_may_be_arguments_constants_and_the_same_twice() -> None:
    def step(x, y):
        z = x + y
        return {
            "twice": (z, z),
            "argument": x,
            "constant": smelt.ones(2, 3),
            "number": 3,
            "none": None,
        }

    x, y = numbers(2, 3), numbers(3)
    assert_same(step(x, y), smelt.compile(step)(x, y))
    result = smelt.compile(step)(x, y)
    assert result["argument"] is not x


def test_no_results() -> None:
    w = smelt.zeros(2)
    step = smelt.compile(lambda: (w.copy_(w + 1), None)[1])
    assert step() is None
    np.testing.assert_array_equal(w.numpy(), [1, 1])
    assert smelt.compile(lambda: None)() is None


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
def test_tensors_without_elements(shape) -> None:
    def step(x):
        return x * 2, x.sum(), x.sum(0), smelt.cat([x, x]), x.reshape(-1)

    assert_same(step(smelt.zeros(shape)), smelt.compile(step)(smelt.zeros(shape)))


def test_numbers_are_data_strings_and_bools_are_settings() -> None:
    traces = []

    @smelt.compile
    def step(x, scale, mode, flag):
        traces.append(mode)
        return x * scale if flag else (x + 1 if mode == "up" else x - 1)

    x = numbers(3)
    for scale in (1.5, 2.5, 3):
        np.testing.assert_allclose(step(x, float(scale), "up", True).numpy(), x.numpy() * scale)
    assert len(traces) == 1
    np.testing.assert_allclose(step(x, 1.0, "down", False).numpy(), x.numpy() - 1)
    assert traces == ["up", "down"]


def test_numpy_arrays_strided_arguments_and_trees() -> None:
    def step(tree, *, scale):
        return [tree["a"] @ tree["b"][0], tree["b"][1] * scale]

    a, b, c = numbers(4, 3).T, numbers(4, 2), np.arange(6.0, dtype=np.float32)[::2]
    tree = {"a": a, "b": (b, c)}
    compiled = smelt.compile(step)
    eager = [a @ b, smelt.tensor(c) * 2.0]
    assert_same(eager, compiled(tree, scale=2.0))
    assert_same(eager, compiled(tree, scale=2.0))


def test_each_call_gives_memory_of_its_own() -> None:
    step = smelt.compile(lambda x: x + 1)
    results = [step(numbers(3, seed=n)) for n in range(200)]
    for n, result in enumerate(results):
        np.testing.assert_array_equal(result.numpy(), numbers(3, seed=n).numpy() + 1)


# --- versions -------------------------------------------------------------------------------------


def test_a_new_shape_or_dtype_is_a_new_version() -> None:
    step = smelt.compile(lambda x: x * 2)
    for x in (numbers(3), numbers(4), numbers(3).to(smelt.float64), numbers(3)):
        np.testing.assert_array_equal(step(x).numpy(), x.numpy() * 2)
    assert step.traces == 3


def test_training_and_evaluation_are_versions_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    step = smelt.compile(lambda x: model(x))
    x = numbers(8, 4)
    for _ in range(2):
        model.train()
        assert (step(x).numpy() == 0).any()
        model.eval()
        np.testing.assert_allclose(step(x).numpy(), model(x).numpy(), rtol=1e-5)


def test_a_switch_between_two_ways_of_calling_is_seen() -> None:
    model = nn.Dropout(0.5)
    step = smelt.compile(lambda x: model(x))
    x = smelt.ones(64)
    model.train()
    assert (step(x).numpy() == 0).any()
    model.eval()
    assert (step.repeat(2, x).numpy() == 1).all()
    assert (step(x).numpy() == 1).all()


def test_max_traces_and_the_warning_name_the_argument() -> None:
    step = smelt.compile(lambda x, y: x.sum() + y, max_traces=2)
    for n in (1, 2):
        step(numbers(n), 1.0)
    with pytest.raises(TraceError, match=r"argument 0 .*float32\[2\].*float32\[3\]"):
        step(numbers(3), 1.0)
    step = smelt.compile(lambda x, y: x.sum() + y, dynamic=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(1, 10):
            step(numbers(n), 1.0)
    assert len(caught) == 1
    assert "argument 0" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_methods_and_nested_steps() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = smelt.zeros(())

        @smelt.compile
        def add(self, x):
            self.count.copy_(self.count + x.sum())
            return self.count * 1

    one, two = Counter(), Counter()
    outer = smelt.compile(lambda x: one.add(x) + two.add(2 * x))
    assert one.add(smelt.ones(2)).item() == 2
    assert two.add(smelt.ones(3)).item() == 3
    assert outer(smelt.ones(2)).item() == 2 + 2 + 3 + 4
    assert one.count.item() == 4


# --- repeat and over ------------------------------------------------------------------------------


def run_steps(way: str) -> tuple[np.ndarray, list[np.ndarray]]:
    training = Training(smelt.compile, dropout=0.3)
    if way == "calls":
        losses = [training.step(DATA, LABELS).numpy() for _ in range(12)]
    elif way == "repeat":
        losses = [
            *training.step.repeat(5, DATA, LABELS).numpy(),
            *training.step.repeat(7, DATA, LABELS).numpy(),
        ]
    else:
        losses = training.step.over(DATA, LABELS, batch_size=64, epochs=12).numpy()
    return np.array(losses), training.state()


def test_calls_repeat_and_over_are_the_same_to_the_bit() -> None:
    losses, state = run_steps("calls")
    for way in ("repeat", "over"):
        other_losses, other_state = run_steps(way)
        np.testing.assert_array_equal(losses, other_losses)
        for a, b in zip(state, other_state, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [16, 24])
def test_over_is_the_loop_that_it_stands_for(shuffle: bool, batch_size: int) -> None:
    def run(compile_setting: bool):
        with smelt.settings(compile=compile_setting):
            training = Training(smelt.compile, dropout=0.3)
            losses = training.step.over(
                DATA, LABELS, batch_size=batch_size, shuffle=shuffle, epochs=2
            )
            return losses.numpy(), training.state()

    (losses, state), (eager_losses, eager_state) = run(True), run(False)
    assert len(losses) == 2 * -(-64 // batch_size)
    np.testing.assert_allclose(losses, eager_losses, rtol=1e-4)
    for a, b in zip(state, eager_state, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


ROWS = np.arange(60.0, dtype=np.float32).reshape(12, 5)
VIEWS = {
    "windows": np.lib.stride_tricks.sliding_window_view(np.arange(15.0), 4),
    "parts of rows": ROWS[:, 1:4],
    "every second row": ROWS[::2],
    "from the last row on": ROWS[::-1],
    "one row again and again": np.broadcast_to(ROWS[0], (12, 5)),
    "numbers far apart": ROWS[:, 2],
    "columns as rows": np.arange(60.0).reshape(5, 12).T,
    "every second place": ROWS[:, ::2],
    "rows of nothing": ROWS[:, :0],
}


@pytest.mark.parametrize("name", VIEWS)
def test_over_reads_views_as_it_reads_arrays(name: str) -> None:
    view = VIEWS[name]
    step = smelt.compile(lambda x: x * 2)
    expected = step.over(view.copy(), batch_size=3)
    np.testing.assert_array_equal(step.over(smelt.from_numpy(view), batch_size=3), expected)
    order = np.array([5, 0, 0, 3, 2, 5])
    got = step.over(smelt.from_numpy(view), batch_size=2, order=order)
    np.testing.assert_array_equal(got.numpy().reshape(6, *view.shape[1:]), 2 * view[order])


def test_over_does_not_write_out_the_windows_over_a_series() -> None:
    series = np.arange(100_000.0)
    every = smelt.from_numpy(np.lib.stride_tricks.sliding_window_view(series, 1000))  # 800 MB
    step = smelt.compile(lambda x: x.sum(1))
    tracemalloc.start()
    try:
        sums = step.over(every, batch_size=2, order=np.arange(10)).numpy()
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(sums.ravel(), 499_500 + 1000 * np.arange(10.0))


def test_over_refuses_arrays_that_do_not_fit_together() -> None:
    step = smelt.compile(lambda x, y: x.sum() + y.sum())
    with pytest.raises(ShapeError, match="rows"):
        step.over(numbers(4, 2), numbers(5), batch_size=2)


def test_eagerly_a_step_gets_what_it_gets_within_a_trace() -> None:
    step = smelt.compile(lambda x, n: (x * n, type(n).__name__))
    data = np.ones(3, np.float32)
    compiled = step(data, 2.0)
    with smelt.settings(compile=False):
        eager = step(data, 2.0)
    assert compiled[1] == eager[1] == "Tensor"
    np.testing.assert_array_equal(compiled[0].numpy(), eager[0].numpy())
