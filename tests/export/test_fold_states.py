"""What follows from unchanged tensors is a constant of an exported step, with the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import export, nn
from tests.export.c_program import CProgram
from tests.export.c_targets import TARGETS

needs_gcc = pytest.mark.skipif(bool(TARGETS["gcc"].missing), reason="there is no gcc here")


def computed(made: export.CExport, *inputs: np.ndarray) -> np.ndarray:
    """Returns the first result of exported C, run on this machine."""
    _, results, _ = CProgram(made)([inputs])
    return results[0][0]


def normalized() -> nn.Module:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    with smelt.no_grad():
        model[1].running_var.copy_(np.array([0.3, 1.7, 0.9, 2.2], np.float32))
    return model


@needs_gcc
def test_the_scale_of_a_batch_normalization_is_a_constant(tmp_path: Path) -> None:
    model, x = normalized(), np.random.default_rng(0).normal(size=(1, 2, 6, 6)).astype(np.float32)
    made = export.to_c(model, tmp_path, x)
    text = Path(made.source).read_text()
    assert "sqrt" not in text
    assert "running_var" not in text
    assert made.flash["constants"] == 4 * 4
    np.testing.assert_allclose(computed(made, x), model(x).numpy(), rtol=1e-5, atol=1e-6)


@needs_gcc
def test_a_loop_reads_a_turned_weight_from_flash(tmp_path: Path) -> None:
    smelt.manual_seed(0)
    model, x = nn.LSTM(4, 32), np.random.default_rng(0).normal(size=(5, 1, 4)).astype(np.float32)
    made = export.to_c(lambda x: model(x)[0], tmp_path, x)
    assert made.flash["constants"] == 4 * 128 * 32
    assert made.ram["workspace"] < 4 * 128 * 32
    np.testing.assert_allclose(computed(made, x), model(x)[0].numpy(), rtol=1e-5, atol=1e-6)


@needs_gcc
def test_a_carry_may_begin_with_what_was_folded(tmp_path: Path) -> None:
    start = smelt.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    factor = smelt.tensor(np.float32([[2.0, 3.0], [5.0, 7.0], [11.0, 13.0]]))

    def step(x: smelt.Tensor) -> smelt.Tensor:
        def body(h: smelt.Tensor, x: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
            return h + x, h

        return smelt.scan(body, start.T * factor, x)[0]

    x = np.ones((4, 3, 2), np.float32)
    made = export.to_c(step, tmp_path, x)
    wanted = np.arange(6, dtype=np.float32).reshape(2, 3).T * factor.numpy() + 4
    program = CProgram(made)
    for _ in range(2):  # the constant is not what the loop changes
        np.testing.assert_array_equal(program([[x], [x]])[1][1][0], wanted)


def test_what_a_step_changes_is_not_folded(tmp_path: Path) -> None:
    scale = smelt.tensor(np.float32([1.0, 4.0, 9.0]))

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        root = smelt.sqrt(scale + 1.0)
        with smelt.no_grad():
            scale.add_(1.0)
        return x[:, None] * root

    made = export.to_c(step, tmp_path, np.ones(5, np.float32))
    assert "constants" not in made.flash
    assert made.ram["other"] == 12


def test_a_value_that_is_larger_than_its_tensors_stays_computed(tmp_path: Path) -> None:
    row = smelt.tensor(np.arange(40, dtype=np.float32))
    made = export.to_c(
        lambda x: x @ smelt.sqrt(row[:, None] + row[None, :]),
        tmp_path,
        np.ones((3, 40), np.float32),
    )
    assert made.flash == {"other": 160}
    assert made.ram["workspace"] >= 4 * 40 * 40
