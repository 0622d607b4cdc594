"""Networks with attention, embeddings, and reading and writing at computed places."""

from __future__ import annotations

import math

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType


@network("transformer", slow=True)
def transformer(dtype: DType) -> Training:
    """Encoder and decoder with padding, causal masks, places, dropout; batch last."""
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(23, 24, padding_idx=0),
            "places": nn.PositionalEncoding(24, 0.1),
            "both": nn.Transformer(24, 3, 2, 1, 40, 0.1),
            "head": nn.Linear(24, 23),
        }
    ).to(dtype)

    def loss_of(source: Tensor, target: Tensor) -> Tensor:
        padding = (source == 0).T
        x = model["places"](model["words"](source) * math.sqrt(24))
        told = nn.shift_right(target.T, 1).T
        y = model["places"](model["words"](told) * math.sqrt(24))
        z = model["both"](
            x, y, src_key_padding_mask=padding, memory_key_padding_mask=padding, tgt_is_causal=True
        )
        return F.cross_entropy(model["head"](z).reshape(-1, 23), target.reshape(-1))

    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    source = labels(23, 9, 7, seed=1)
    return trained(model, optimizer, loss_of, source.at[0].set(3), labels(23, 11, 7, seed=2))


@network("vision-transformer")
def vision_transformer(dtype: DType) -> Training:
    """Patches of images, a class token, learned places, norms first, GELU, the mean of places."""
    layer = nn.TransformerEncoderLayer(
        32, 4, 65, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
    )
    model = nn.ModuleDict(
        {
            "patches": nn.Conv2d(3, 32, 4, stride=4),
            "token": nn.ClassToken(32, batch_first=True),
            "places": nn.LearnedPositions(17, 32, batch_first=True),
            "blocks": nn.TransformerEncoder(layer, 2, nn.LayerNorm(32)),
            "mean": nn.MeanPooling(batch_first=True),
            "head": nn.Linear(64, 10),
        }
    ).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        z = model["patches"](x).flatten(2).transpose(1, 2)
        z = model["blocks"](model["places"](model["token"](z)))
        return F.cross_entropy(model["head"](smelt.cat([z[:, 0], model["mean"](z)], -1)), y)

    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    return trained(model, optimizer, loss_of, numbers(dtype, 9, 3, 16, 16), labels(10, 9))


@network("attention-options")
def options(dtype: DType) -> Training:
    """Attention between different widths, with masks of all kinds and its weights; a decoder."""
    model = nn.ModuleDict(
        {
            "across": nn.MultiheadAttention(18, 3, kdim=7, vdim=5),
            "within": nn.MultiheadAttention(18, 2, dropout=0.1, bias=False),
            "decoder": nn.TransformerDecoder(
                nn.TransformerDecoderLayer(18, 2, 33, 0.0, norm_first=True), 1
            ),
        }
    ).to(dtype)
    far = nn.Transformer.generate_square_subsequent_mask(13, dtype)
    padding = labels(3, 6, 13, seed=3) == 0

    def loss_of(x: Tensor, key: Tensor, value: Tensor) -> Tensor:
        y, weights = model["across"](x, key, value)
        z, _ = model["within"](y, y, y, attn_mask=far)
        z = model["decoder"](z, y, memory_key_padding_mask=padding, tgt_is_causal=True)
        own = F.scaled_dot_product_attention(z, y, y, scale=0.3)
        seen = F.attention_weights(z, z, is_causal=True)
        mean = F.masked_mean(z.transpose(0, 1), padding)
        outputs = z, own, weights, seen, mean
        return sum(output.square().mean() for output in outputs)

    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, key = numbers(dtype, 13, 6, 18), numbers(dtype, 9, 6, 7, seed=1)
    return trained(model, optimizer, loss_of, x, key, numbers(dtype, 9, 6, 5, seed=2))


@network("large-attention")
def large_attention(dtype: DType) -> Training:
    """One block of attention over 130 places, 8 heads of 16, as wide as products of thousands."""
    layer = nn.TransformerEncoderLayer(128, 8, 512, 0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(128, 10)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x).reshape(-1, 10), y.reshape(-1))

    return trained(model, optimizer, loss_of, numbers(dtype, 4, 130, 128), labels(10, 4, 130))


@network("word-vectors")
def word_vectors(dtype: DType) -> Training:
    """Skip-grams with tied tables: rows of a large table that many places read at once."""
    table = nn.Embedding(2001, 33)
    model = nn.ModuleList([table]).to(dtype)

    def loss_of(word: Tensor, near: Tensor, far: Tensor) -> Tensor:
        here = table(word).unsqueeze(1)  # (B, 1, C)
        close = (here * table(near)).sum(-1)
        apart = (here @ F.embedding(far, table.weight).transpose(1, 2)).squeeze(1)
        return -F.logsigmoid(close).mean() - F.logsigmoid(-apart).mean()

    optimizer = optim.Adagrad(model.parameters(), lr=0.1)
    words = labels(2001, 65), labels(7, 65, 4, seed=1), labels(2001, 65, 5, seed=2)
    return trained(model, optimizer, loss_of, *words)


@network("places", reference=False)
def places(dtype: DType) -> Training:
    """Sorting, the largest, gathering, scattering, and changed copies."""
    model = nn.Sequential(nn.Linear(7, 33), nn.Tanh()).to(dtype)
    table = nn.Parameter(numbers(dtype, 33, 5, seed=1))
    modules = nn.ModuleList([model, nn.ParameterList([table])])
    where_to = labels(17, 65, 33, seed=2)

    def loss_of(x: Tensor, index: Tensor) -> Tensor:
        z = model(x)  # (65, 33)
        ordered, order = z.sort(-1, descending=True)
        top, which = z.topk(5)
        rows = smelt.index_select(table, 0, order[:, 0])
        put = smelt.scatter_add(smelt.zeros(65, 17, dtype=dtype), 1, where_to, z)
        again = smelt.gather(z, 1, which) * smelt.take_along_dim(z, order[:, :5], 1)
        changed = z.at[:, 3].set(0.0).at[index].add(table.T)
        picked = smelt.take(z, index) + z[smelt.argmax(z, 0)[0]][:5].sum()
        masked = smelt.masked_fill(z, z < 0, 0.25).roll(2, 1).flip(0)
        outputs = ordered.cumsum(1) / 10, top, rows, put, again, changed, picked, masked
        return sum((output - 0.1).square().mean() for output in outputs)

    optimizer = optim.SGD(modules.parameters(), lr=0.05)
    return trained(modules, optimizer, loss_of, numbers(dtype, 65, 7), labels(65, 5, seed=3))
