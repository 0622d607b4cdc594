"""What recurrent layers promise beyond PyTorch's numbers."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references.running import ENGINES, on

KINDS = (nn.RNN, nn.LSTM, nn.GRU)
CELLS = (nn.RNNCell, nn.LSTMCell, nn.GRUCell)


def normal(*shape: int, seed: int = 0) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(seed).normal(size=shape))


def made(kind, *sizes: int, **settings):
    smelt.manual_seed(5)
    return kind(*sizes, dtype="float64", **settings)


def parts(state) -> tuple[smelt.Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("place", range(3))
def test_a_layer_is_its_cell_in_a_loop(place: int) -> None:
    layer, cell = made(KINDS[place], 3, 4), made(CELLS[place], 3, 4)
    cell.load_state_dict({key.removesuffix("_l0"): w for key, w in layer.state_dict().items()})
    x, state = normal(6, 2, 3), None
    output, final = layer(x)
    for t in range(6):
        state = cell(x[t], state)
        np.testing.assert_allclose(output[t].numpy(), parts(state)[0].numpy(), rtol=1e-12)
    for one, other in zip(parts(final), parts(state), strict=True):
        np.testing.assert_allclose(one[0].numpy(), other.numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_can_be_stepped(kind) -> None:
    layer, x, state = made(kind, 3, 4, num_layers=2), normal(6, 2, 3), None
    output, final = layer(x)
    for t in range(6):
        h, state = layer.step(x[t], state)
        np.testing.assert_allclose(output[t].numpy(), h.numpy(), rtol=1e-12)
    for one, other in zip(parts(final), parts(state), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_neither_read_nor_written(kind, engine: str) -> None:
    layer = made(kind, 3, 4, num_layers=2, bidirectional=True, batch_first=True)
    lengths, x = [5, 2, 0], np.random.default_rng(0).normal(size=(3, 5, 3))
    x[np.arange(5) >= np.array(lengths)[:, None]] = 1e3
    run = on(engine, lambda x: layer(x, None, lengths))
    output, final = run(smelt.tensor(x))
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(output[row, length:].numpy(), 0)
        if length:
            alone, last = layer(smelt.tensor(x[row, :length]))
            np.testing.assert_allclose(output[row, :length].numpy(), alone.numpy(), rtol=1e-10)
            for one, other in zip(parts(final), parts(last), strict=True):
                np.testing.assert_allclose(one[:, row].numpy(), other.numpy(), rtol=1e-10)
        else:
            assert all(not part[:, row].numpy().any() for part in parts(final))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_differentiable_twice(kind) -> None:
    layer = made(kind, 2, 2, bidirectional=True)
    states = [normal(2, 2, 2, seed=1)] * (2 if kind is nn.LSTM else 1)

    def run(x: smelt.Tensor, *state: smelt.Tensor):
        return layer(x, state if len(state) > 1 else state[0], [3, 2])

    assert smelt.gradcheck(run, normal(3, 2, 2), *states, order=2)


def test_first_values_lie_within_the_limit() -> None:
    smelt.manual_seed(0)
    layer = nn.LSTM(5, 16, num_layers=2, bidirectional=True)
    for parameter in layer.parameters():
        assert 0.2 < np.abs(parameter.numpy()).max() <= 0.25
    assert sum(own.size for own in nn.LSTM(6, 16).parameters()) + 16 * 6 + 6 == 1638  # the book's


def test_dropout_lies_between_layers_in_training() -> None:
    layer, x = made(nn.GRU, 3, 8, num_layers=2, dropout=0.5), normal(4, 2, 3)
    plain = made(nn.GRU, 3, 8, num_layers=2)
    assert (layer(x)[0] != plain(x)[0]).any()
    np.testing.assert_array_equal(layer.eval()(x)[0].numpy(), plain(x)[0].numpy())
    with pytest.warns(UserWarning, match="num_layers=1"):
        nn.GRU(3, 8, dropout=0.5)


def test_a_compiled_layer_trains_as_an_eager_one() -> None:
    losses = {}
    for engine in ENGINES:
        smelt.manual_seed(0)
        layer, head = nn.LSTM(3, 8, batch_first=True), nn.Linear(8, 3)
        optimizer = smelt.optim.Adam([*layer.parameters(), *head.parameters()], lr=3e-2)

        def step(ids, layer=layer, head=head, optimizer=optimizer):
            output, _ = layer(F.one_hot(ids, 3, smelt.float32))
            loss = F.cross_entropy(head(output).reshape(-1, 3), ((ids + 1) % 3).reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        run, ids = on(engine, step), smelt.randint(0, 3, (4, 6))
        losses[engine] = [run(ids).item() for _ in range(20)]
    np.testing.assert_allclose(losses["eager"], losses["compiled"], rtol=1e-3)
    assert losses["eager"][-1] < 0.9 * losses["eager"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_layer_does_not_grow_with_the_length(kind) -> None:
    def size(length: int) -> list[int]:
        layer = made(kind, 3, 4, bidirectional=True)

        def step(x):
            layer.zero_grad()
            layer(x)[0].sum().backward()
            return [own.grad for own in layer.parameters()]

        compiled = smelt.compile(step)
        compiled(normal(length, 2, 3))
        return [compiled.explain(part).count("\n") for part in ("graph", "kernels")]

    few = size(6)
    assert min(few) > 10
    assert few == size(48)


def test_a_training_step_keeps_only_what_its_gradient_reads() -> None:
    length, batch, width = 50, 8, 16
    layer = nn.LSTM(3, width)
    opt = smelt.optim.SGD(layer.parameters(), lr=0.1)

    @smelt.compile
    def step(x):
        opt.zero_grad()
        layer(x)[0].sum().backward()
        opt.step()

    step(smelt.randn(length, batch, 3))
    # of each place: four gates before and after the sigmoids, their gradients, h, c and tanh c
    needed = length * batch * width * 4 * (4 + 4 + 4 + 4)
    assert step.memory().arena < 1.2 * needed


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.RNN(-1, 2), errors.ArgumentError, "input_size .* got -1"),
        (lambda: nn.LSTM(3, 2.5), errors.ArgumentError, "hidden_size .* got 2.5"),
        (lambda: nn.RNN(3, 0), errors.ArgumentError, "hidden_size must be at least 1"),
        (lambda: nn.LSTM(3, 2)(smelt.ones(4, 2, 3), [4, 2]), errors.ArgumentError, "lengths="),
        (
            lambda: nn.GRU(3, 2)(smelt.ones(4, 2, 3), smelt.tensor([4, 2])),
            errors.ArgumentError,
            "mean lengths=",
        ),
        (lambda: nn.GRU(3, 2, num_layers=0), errors.ArgumentError, "num_layers"),
        (lambda: nn.GRU(3, 2, 2, dropout=2.0), errors.ArgumentError, "dropout"),
        (lambda: nn.RNN(3, 2, 1, "gelu"), errors.ArgumentError, "'gelu'"),
        (lambda: nn.RNNCell(3, 2, True, "gelu"), errors.ArgumentError, "'gelu'"),
        (lambda: nn.LSTM(3, 2, proj_size=1), errors.ArgumentError, "proj_size"),
        (lambda: nn.GRU(3, 2)(smelt.ones(4, 2, 5)), errors.ShapeError, "input_size = 3"),
        (lambda: nn.GRU(3, 2)(smelt.ones(3)), errors.ShapeError, "T, B, I"),
        (lambda: nn.GRU(3, 2)(smelt.ones(0, 2, 3)), errors.ShapeError, "length 0"),
        (lambda: run(nn.GRU, smelt.ones(1, 3, 2)), errors.ShapeError, r"\(1, 2, 2\), got \(1, 3"),
        (
            lambda: run(nn.LSTM, smelt.ones(1, 2, 2)),
            errors.ShapeError,
            r"pair \(h, c\) of \(1, 2, 2\)",
        ),
        (lambda: nn.LSTM(3, 2, 2, 0.5), errors.ArgumentTypeError, "bias must be True or False"),
        (
            lambda: nn.RNN(3, 2, batch_first="False"),
            errors.ArgumentTypeError,
            "batch_first must be True or False, got 'False'",
        ),
        (lambda: nn.GRU(0, 2), errors.ArgumentError, "input_size must be at least 1"),
        (
            lambda: run(nn.GRU, None, [1, 2, 3]),
            errors.ShapeError,
            r"lengths must have shape \(2,\), .* got \(3,\)",
        ),
        (lambda: run(nn.GRU, None, [1, -2]), errors.BoundsError, "outside 0..4"),
        (lambda: run(nn.GRU, None, [1, 5]), errors.BoundsError, "length 4"),
        (lambda: run(nn.GRU, None, [1.0, 2.0]), errors.DTypeError, "float32"),
        (
            lambda: nn.GRU(3, 2, bidirectional=True).step(smelt.ones(2, 3)),
            errors.ArgumentError,
            "step by step",
        ),
        (lambda: nn.GRU(3, 2).step(smelt.ones(4, 2, 3)), errors.ShapeError, r"\(B, I\)"),
        (lambda: nn.GRUCell(3, 2)(smelt.ones(4, 2)), errors.ShapeError, "input_size = 3"),
        (
            lambda: nn.LSTMCell(3, 2)(smelt.ones(4, 3), smelt.ones(4, 2)),
            errors.ShapeError,
            r"pair \(h, c\) of \(4, 2\) each, got \(4, 2\)",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def run(kind, state, lengths=None):
    return kind(3, 2)(smelt.ones(4, 2, 3), state, lengths)
