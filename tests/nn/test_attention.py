"""What attention and Transformer layers promise beyond PyTorch's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references.running import ENGINES, on

MODELS = {  # the three Transformers of the book: settings and number of parameters
    "pooled": ({"d_model": 64, "nhead": 4, "dim_feedforward": 256}, 2, 10, 5, 101_061),
    "token": ({"d_model": 128, "nhead": 8, "dim_feedforward": 256}, 1, 10, 5, 134_533),
    "sentiment": ({"d_model": 64, "nhead": 4, "dim_feedforward": 128}, 1, 25, 2, 35_330),
}


def attention(**settings) -> nn.MultiheadAttention:
    smelt.manual_seed(3)
    return nn.MultiheadAttention(6, 2, batch_first=True, dtype="float64", **settings)


def normal(*shape: int, seed: int = 0) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("engine", ENGINES)
def test_causal_needs_no_mask(engine: str) -> None:
    layer, x = attention(), normal(2, 5, 6)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    by_mask = layer(x, x, x, attn_mask=mask)
    by_flag = on(engine, lambda x: layer(x, x, x, is_causal=True))(x)
    for one, other in zip(by_mask, by_flag, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
    assert not np.triu(by_flag[1].numpy(), 1).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_query_that_may_see_nothing_gets_zeros(engine: str) -> None:
    layer, x = attention(), normal(2, 3, 6).requires_grad_()
    padding = smelt.tensor([[False, False, True], [True, True, True]])

    def step(x: smelt.Tensor) -> tuple[smelt.Tensor, ...]:
        output, weights = layer(x, x, x, padding)
        output.sum().backward()
        return output, weights, x.grad

    output, weights, gradient = (part.numpy() for part in on(engine, step)(x))
    np.testing.assert_allclose(weights.sum(-1), [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(output[1], 0)
    assert gradient[0].any()
    np.testing.assert_array_equal(gradient[1], 0)


def test_padding_does_not_change_what_is_seen() -> None:
    layer, x = attention(), normal(2, 3, 6)
    padding = smelt.tensor([[False, False, True], [False, True, True]])
    padded, _ = layer(x, x, x, padding)
    alone, _ = layer(x[:1, :2], x[:1, :2], x[:1, :2])
    np.testing.assert_allclose(padded.numpy()[0, :2], alone.numpy()[0], rtol=1e-12)


def test_weights_are_a_distribution_for_each_head() -> None:
    layer, x, memory = attention(), normal(2, 5, 6), normal(2, 4, 6, seed=1)
    _, weights = layer(x, memory, memory, average_attn_weights=False)
    assert weights.shape == (2, 2, 5, 4)
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1.0)
    _, mean = layer(x, memory, memory)
    np.testing.assert_allclose(mean.numpy(), weights.mean(1).numpy())
    assert layer(x, memory, memory, need_weights=False)[1] is None


def test_dropout_drops_weights_in_training_only() -> None:
    layer, x = attention(dropout=0.5), normal(4, 8, 6)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert 0.4 < (weights.numpy() == 0).mean() < 0.6
    _, weights = layer.eval()(x, x, x)
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1.0)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_differentiable_twice(masked: bool) -> None:
    mask = smelt.tensor(np.eye(3, 4) == 0) if masked else None
    inputs = normal(2, 3, 2), normal(2, 4, 2, seed=1), normal(2, 4, 3, seed=2)
    assert smelt.gradcheck(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask), *inputs, order=2
    )


@pytest.mark.parametrize("norm_first", [False, True])
def test_layers_are_differentiable_twice(norm_first: bool) -> None:
    smelt.manual_seed(0)
    settings = {"dropout": 0.0, "activation": "gelu", "norm_first": norm_first, "dtype": "float64"}
    layer = nn.TransformerDecoderLayer(4, 2, 3, **settings)
    assert smelt.gradcheck(layer, normal(2, 1, 4), normal(3, 1, 4, seed=1), order=2)


def test_first_values_are_xaviers() -> None:
    smelt.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4)
    limit = np.sqrt(6 / (64 + 3 * 64))
    assert 0.95 * limit < np.abs(layer.in_proj_weight.numpy()).max() <= limit
    assert not layer.in_proj_bias.numpy().any()
    assert not layer.out_proj.bias.numpy().any()


@pytest.mark.parametrize("name", MODELS)
def test_the_books_transformers_have_its_number_of_parameters(name: str) -> None:
    settings, layers, vocabulary, classes, expected = MODELS[name]
    layer = nn.TransformerEncoderLayer(**settings, norm_first=True)
    width = settings["d_model"]
    last = None if name == "token" else nn.LayerNorm(width)
    parts = [
        nn.Embedding(vocabulary, width),
        nn.PositionalEncoding(width, layout="concatenated"),
        *([nn.ClassToken(width)] if name == "token" else []),
        nn.TransformerEncoder(layer, layers, last),
        nn.Linear(width, classes),
    ]
    assert sum(own.size for own in nn.Sequential(*parts).parameters()) == expected


def test_layers_of_an_encoder_are_copies_that_part() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2)
    first, second = encoder.layers
    assert (first.linear1.weight == second.linear1.weight).all()
    assert first.linear1.weight is not second.linear1.weight
    matrices = [layer.linear1.weight for layer in nn.Transformer(4, 2, 2, 1, 8).encoder.layers]
    assert (matrices[0] != matrices[1]).any()


def test_activation_may_be_a_function_or_a_module() -> None:
    x = normal(2, 3, 4)
    outputs = []
    for activation in ("gelu", F.gelu, nn.GELU()):
        smelt.manual_seed(0)
        layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, activation, dtype="float64")
        outputs.append(layer(x).numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_a_compiled_encoder_trains_as_an_eager_one() -> None:
    losses = {}
    for engine in ENGINES:
        smelt.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, batch_first=True)
        model = nn.Sequential(
            nn.PositionalEncoding(8, batch_first=True),
            nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)),
            nn.MeanPooling(batch_first=True),
            nn.Linear(8, 3),
        )
        optimizer = smelt.optim.Adam(model.parameters(), lr=1e-2)

        def step(x, y, model=model, optimizer=optimizer):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        x, y = smelt.randn(6, 5, 8), smelt.randint(0, 3, (6,))
        run = on(engine, step)
        losses[engine] = [run(x, y).item() for _ in range(20)]
    np.testing.assert_allclose(losses["eager"], losses["compiled"], rtol=1e-3)
    assert losses["eager"][-1] < losses["eager"][0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.MultiheadAttention(6, 4), errors.ArgumentError, "not divisible by num_heads 4"),
        (lambda: nn.MultiheadAttention(6, 0), errors.ArgumentError, "num_heads 0"),
        (lambda: nn.MultiheadAttention(6, 2, 1.5), errors.ArgumentError, "dropout"),
        (lambda: nn.MultiheadAttention(6, 2, kdim=-1), errors.ArgumentError, "kdim"),
        (lambda: call((2, 5, 4)), errors.ShapeError, "last extents must be .6, 6, 6."),
        (lambda: call((2, 5, 6, 1)), errors.ShapeError, "three inputs"),
        (lambda: call((2, 5, 6), (3, 4, 6)), errors.ShapeError, "same batch"),
        (lambda: call((2, 5, 6), (2, 4, 6), (2, 3, 6)), errors.ShapeError, "same length"),
        (lambda: call((2, 5, 6), attn_mask=bools(5, 4)), errors.ShapeError, "attn_mask .5, 4."),
        (lambda: call((2, 5, 6), attn_mask=bools(2, 5)), errors.ShapeError, "as key_padding_mask"),
        (lambda: call((2, 5, 6), attn_mask=bools(2, 5, 5)), errors.ShapeError, r"B \* heads"),
        (lambda: call((2, 5, 6), key_padding_mask=bools(5)), errors.ShapeError, "key_padding"),
        (
            lambda: call((2, 5, 6), attn_mask=smelt.ones(5, 5).long()),
            errors.DTypeError,
            "bool .* got int64",
        ),
        (lambda: nn.TransformerEncoderLayer(6, 4), errors.ArgumentError, "heads"),
        (lambda: nn.TransformerEncoderLayer(6, 2, 2.5), errors.ArgumentError, "dim_feedforward"),
        (lambda: encoder_layer(activation="tanh"), errors.ArgumentError, "'tanh'"),
        (lambda: nn.TransformerEncoder(encoder_layer(), -1), errors.ArgumentError, "num_layers"),
        (lambda: encoder_layer()(smelt.ones(5, 2, 4)), errors.ShapeError, "encoder.*self_attn"),
        (
            lambda: nn.Transformer.generate_square_subsequent_mask(-1),
            errors.ArgumentError,
            "must not be negative",
        ),
        (lambda: weigh((2, 3), (2, 4)), errors.ShapeError, "same last extent"),
        (lambda: weigh((2, 3), (2, 3), bools(3, 2)), errors.ShapeError, r"mask of shape \(3, 2\)"),
        (lambda: weigh((2, 3), (2, 3), bools(1, 2, 2)), errors.ShapeError, "does not broadcast"),
        (lambda: weigh((2, 3), (2, 3), smelt.ones(2, 2).int()), errors.DTypeError, "int32"),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def call(query, key=None, value=None, **masks):
    key = query if key is None else key
    shapes = query, key, key if value is None else value
    return attention()(*(normal(*shape) for shape in shapes), **masks)


def weigh(query, key, mask=None):
    return F.attention_weights(normal(*query), normal(*key), mask)


def bools(*shape: int) -> smelt.Tensor:
    return smelt.tensor(np.zeros(shape, bool))


def encoder_layer(**settings) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(6, 2, 8, **settings)


@pytest.mark.parametrize("norm_first", [False, True])
def test_tokens_want_an_embedding(norm_first: bool) -> None:
    tokens = smelt.zeros(2, 5).long()
    encoder = nn.TransformerEncoderLayer(8, 2, norm_first=norm_first)
    with pytest.raises(
        errors.DTypeError, match=r"src \(2, 5\) must be float, got int64; .*nn.Embedding"
    ):
        encoder(tokens)
    decoder = nn.TransformerDecoderLayer(8, 2, norm_first=norm_first)
    with pytest.raises(errors.DTypeError, match="memory"):
        decoder(smelt.zeros(2, 8), tokens)
    with pytest.raises(errors.DTypeError, match="query"):
        nn.MultiheadAttention(8, 2)(tokens, tokens, tokens)


def test_a_stack_of_layers_takes_one_layer() -> None:
    layer = nn.TransformerEncoderLayer(8, 2)
    with pytest.raises(errors.ArgumentError, match="takes one layer and .* got a list"):
        nn.TransformerEncoder([layer], 2)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_added_places_are_seen_by_all(bias, zeros, is_causal, mask) -> None:
    """Keys and values with the places behind, in a layer that has none of its own."""
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=bias, add_zero_attn=zeros, batch_first=True)
    query, key, value = smelt.randn(2, 3, 4), smelt.randn(2, 5, 4), smelt.randn(2, 5, 4)
    hidden = np.random.default_rng(0).random((3, 5)) < 0.4
    given = None if mask is None else smelt.tensor(hidden)
    given = smelt.where(given, -1.5, 0.0) if mask == "float" else given
    options = {"attn_mask": given, "is_causal": is_causal}
    output, weights = layer(query, key, value, **options)
    assert weights.shape == (2, 3, 5 + bias + zeros)

    weights = layer.in_proj_weight.chunk(3)
    q, k, v = (x @ w.T for x, w in zip((query, key, value), weights, strict=True))
    added = [x.expand(2, 1, 4) for x in (layer.bias_k, layer.bias_v)] if bias else []
    k, v = (smelt.cat([x, *added[i : i + 1]], 1) for i, x in enumerate((k, v)))
    k, v = (F.pad(x, (0, 0, 0, int(zeros))) for x in (k, v))
    scores = smelt.zeros(3, 5)
    if mask is not None:
        scores = smelt.where(given, -math.inf, 0.0) if mask == "bool" else given
    if is_causal:
        scores = smelt.where(smelt.ones(3, 5).tril() > 0, scores, -math.inf)
    q, k, v = (x.reshape(2, -1, 2, 2).transpose(1, 2) for x in (q, k, v))
    seen = F.scaled_dot_product_attention(q, k, v, F.pad(scores, (0, int(bias) + int(zeros))))
    expected = layer.out_proj(seen.transpose(1, 2).flatten(2))
    np.testing.assert_allclose(output.detach().numpy(), expected.detach().numpy(), 1e-4, 1e-5)
    compiled = smelt.compile(lambda *x: layer(*x, **options)[0])(query, key, value)
    np.testing.assert_allclose(compiled.detach().numpy(), output.detach().numpy(), 1e-4, 1e-5)
    names = layer.state_dict().keys()
    assert ({"bias_k", "bias_v"} <= names) == bias
