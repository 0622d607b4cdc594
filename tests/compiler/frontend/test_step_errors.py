"""What a compiled step refuses, and what stays usable after it; threads that share one step."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import smelt
from smelt.errors import BoundsError, MovedError, TraceError
from smelt.tracing.engine import no_grad
from tests.compiler.training import DATA, LABELS, Training, numbers


def test_a_label_outside_is_refused_before_anything_changes() -> None:
    training = Training(smelt.compile)
    training.step(DATA, LABELS)
    before = training.state()
    wrong = LABELS.numpy().copy()
    wrong[5] = 3
    with pytest.raises(BoundsError):
        training.step(DATA, smelt.tensor(wrong))
    for a, b in zip(before, training.state(), strict=True):
        np.testing.assert_array_equal(a, b)
    training.step(DATA, LABELS)  # and the step goes on


def test_a_label_outside_names_the_step_of_a_native_loop() -> None:
    training, reference = Training(smelt.compile), Training(smelt.compile)
    wrong = LABELS.numpy().copy()
    wrong[40] = -1
    with pytest.raises(BoundsError, match="in step 2 of this call"):
        training.step.over(DATA, smelt.tensor(wrong), batch_size=16)
    reference.step.over(DATA[:32], LABELS[:32], batch_size=16)
    for a, b in zip(training.state(), reference.state(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(BoundsError):
        training.step.repeat(3, DATA, smelt.tensor(wrong))


@pytest.mark.parametrize(
    "look",
    [bool, float, int, str, lambda x: x.item(), lambda x: x.numpy(), lambda x: x.tolist(),
     lambda x: f"{x:.3f}", lambda x: 1 if x > 0 else 0, lambda x: [1, 2][x], np.asarray],
)  # fmt: skip
def test_looking_at_a_traced_value_says_what_to_do(look) -> None:
    step = smelt.compile(lambda x: (look(x.sum()), x)[1])
    with pytest.raises(TraceError, match=r"smelt\.where|smelt\.cond") as caught:
        step(numbers(3))
    assert "test_step_errors.py" in str(caught.value)


def test_a_traced_tensor_that_leaked_is_refused() -> None:
    kept = []
    step = smelt.compile(lambda x: kept.append(x * 2))
    step(numbers(3))
    with pytest.raises(TraceError, match="was used outside its compiled step|traced"):
        kept[0].numpy()
    with pytest.raises(TraceError, match="was used outside its compiled step"):
        smelt.compile(lambda x: x + kept[0])(numbers(3))
    with pytest.raises(TraceError):
        kept[0] + 1


def test_item_assignment_names_the_way_out() -> None:
    def step(x):
        x[0] = 1
        return x

    with pytest.raises(TypeError, match=r"x\.at\[0\]\.set"):
        smelt.compile(step)(numbers(3))


def test_an_exception_while_tracing_leaves_everything_usable() -> None:
    training = Training(smelt.compile)
    before = training.state()
    fail = True

    def step(x, y):
        loss = training._step(x, y)
        if fail:
            raise RuntimeError("stop")
        return loss

    compiled = smelt.compile(step)
    with pytest.raises(RuntimeError, match="stop"):
        compiled(DATA, LABELS)
    for a, b in zip(before, training.state(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(p.grad is None for p in training.model.parameters())
    fail = False
    reference = Training(smelt.compile)
    assert compiled(DATA, LABELS).item() == reference.step(DATA, LABELS).item()
    assert (numbers(2) + 1).numpy().shape == (2,)


def test_donated_tensors_cannot_be_used_again() -> None:
    step = smelt.compile(lambda x, y: x + y, donate=0)
    x, y = numbers(3), numbers(3, seed=1)
    for _ in range(2):
        x = numbers(3)
        result = step(x, y)
        np.testing.assert_allclose(result.numpy(), numbers(3).numpy() + y.numpy())
        with pytest.raises(MovedError, match="test_step_errors.py"):
            step(x, y)
        with pytest.raises(MovedError):
            x.numpy()


def test_threads_share_one_step() -> None:
    total = smelt.zeros((), dtype=smelt.float64)

    @smelt.compile
    def step(x):
        with no_grad():
            total.copy_(total + x.sum())
        return x * 2

    failures = []

    def work(number: int) -> None:
        for n in range(50):
            x = smelt.full((4 + number % 2,), float(n), dtype=smelt.float64)
            if not (step(x).numpy() == 2 * n).all():
                failures.append(n)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert total.item() == sum(range(50)) * (4 + 5 + 4 + 5)
    assert step.traces == 2


def test_a_refused_value_that_the_step_catches_is_refused_still() -> None:
    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        try:
            return x if x.sum() > 0 else -x
        except Exception:
            return x * 0

    with pytest.raises(TraceError, match="bool()"):
        step(smelt.ones(2))


def test_layers_are_made_before_the_step() -> None:
    step = smelt.compile(lambda x: smelt.nn.Linear(3, 1)(x))
    with pytest.raises(TraceError, match="would be a new one at every call"):
        step(smelt.ones(2, 3))
