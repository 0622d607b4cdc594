"""What both sides of sequence_layers.npz share: which layers, on what inputs. Needs no torch.

A case is (class, settings, inputs, options). A spec of an input or option is a shape (normal
numbers, for which gradients are recorded), an array (fixed), a list of specs (a tuple), a string
(the name of an earlier input, which is given again), or None. An option "lengths" says how long
each sequence is; PyTorch gets packed sequences for it.
"""

import numpy as np

CAUSAL = np.triu(np.ones((5, 5), bool), 1)
HEADS = np.stack([np.roll(np.eye(5, 4, dtype=bool), n, 1) for n in range(6)])
PADDING = np.arange(4) >= np.array([4, 2, 3])[:, None]  # (3, 4)
PADDED = np.arange(5) >= np.array([5, 2, 4])[:, None]  # (3, 5)
SLOPES = -0.3 * np.abs(np.arange(5)[:, None] - np.arange(4))
NARROW = {"embed_dim": 6, "num_heads": 2}
LAYER = {"d_model": 6, "nhead": 2, "dim_feedforward": 7, "dropout": 0.0}
SELF = [(5, 3, 6), "0", "0"]
CROSS = [(5, 3, 6), (4, 3, 6), (4, 3, 6)]
BATCHES = [(3, 5, 6), (3, 4, 6)]

LAYERS = {
    "Attention-self": ("MultiheadAttention", NARROW, SELF, {}),
    "Attention-cross": ("MultiheadAttention", NARROW, CROSS, {}),
    "Attention-alone": ("MultiheadAttention", NARROW, [(5, 6), (4, 6), (4, 6)], {}),
    "Attention-heads": (
        "MultiheadAttention",
        {**NARROW, "bias": False, "batch_first": True},
        [(3, 5, 6), "0", "0"],
        {"average_attn_weights": False, "attn_mask": CAUSAL},
    ),
    "Attention-kdim": (
        "MultiheadAttention",
        {**NARROW, "kdim": 4, "vdim": 3},
        [(5, 3, 6), (4, 3, 4), (4, 3, 3)],
        {},
    ),
    "Attention-padding": ("MultiheadAttention", NARROW, CROSS, {"key_padding_mask": PADDING}),
    "Attention-masks": (
        "MultiheadAttention",
        NARROW,
        CROSS,
        {"attn_mask": HEADS, "key_padding_mask": PADDING, "need_weights": False},
    ),
    "Attention-slopes": (
        "MultiheadAttention",
        NARROW,
        CROSS,
        {"attn_mask": SLOPES, "key_padding_mask": np.where(PADDING, -np.inf, 0.0)},
    ),
    "EncoderLayer": ("TransformerEncoderLayer", LAYER, [(5, 3, 6)], {}),
    "EncoderLayer-first": (
        "TransformerEncoderLayer",
        {**LAYER, "norm_first": True, "activation": "gelu", "batch_first": True},
        [(3, 5, 6)],
        {"src_mask": CAUSAL, "src_key_padding_mask": PADDED},
    ),
    "EncoderLayer-no-bias": (
        "TransformerEncoderLayer",
        {**LAYER, "bias": False, "layer_norm_eps": 1e-2},
        [(5, 6)],
        {},
    ),
    "DecoderLayer": ("TransformerDecoderLayer", LAYER, [(5, 3, 6), (4, 3, 6)], {}),
    "DecoderLayer-first": (
        "TransformerDecoderLayer",
        {**LAYER, "norm_first": True, "activation": "gelu", "batch_first": True},
        BATCHES,
        {
            "tgt_mask": CAUSAL,
            "memory_mask": CAUSAL[:, :4],
            "tgt_key_padding_mask": PADDED,
            "memory_key_padding_mask": PADDING,
        },
    ),
    "Transformer": (
        "Transformer",
        {**LAYER, "num_encoder_layers": 2, "num_decoder_layers": 1, "batch_first": True},
        BATCHES[::-1],
        {"src_key_padding_mask": PADDING, "tgt_mask": np.where(CAUSAL, -np.inf, 0.0)},
    ),
}
SETTINGS = {"input_size": 4, "hidden_size": 3}
RECURRENT = {"RNN": 1, "LSTM": 2, "GRU": 1}  # class -> tensors in the state


def _state(kind, shape):
    return [shape] * 2 if RECURRENT[kind.removesuffix("Cell")] == 2 else shape


for _kind in RECURRENT:
    _deep = {**SETTINGS, "num_layers": 2, "bidirectional": True, "batch_first": True}
    LAYERS |= {
        _kind: (_kind, SETTINGS, [(5, 2, 4)], {}),
        f"{_kind}-state": (_kind, SETTINGS, [(5, 2, 4), _state(_kind, (1, 2, 3))], {}),
        f"{_kind}-deep": (_kind, _deep, [(2, 5, 4), _state(_kind, (4, 2, 3))], {}),
        f"{_kind}-alone": (
            _kind,
            {**SETTINGS, "num_layers": 2, "bias": False},
            [(5, 4), _state(_kind, (2, 3))],
            {},
        ),
        f"{_kind}-lengths": (
            _kind,
            _deep,
            [(3, 5, 4), _state(_kind, (4, 3, 3))],
            {"lengths": np.array([2, 5, 1])},
        ),
        f"{_kind}Cell": (f"{_kind}Cell", SETTINGS, [(2, 4)], {}),
        f"{_kind}Cell-state": (
            f"{_kind}Cell",
            {**SETTINGS, "bias": False},
            [(2, 4), _state(f"{_kind}Cell", (2, 3))],
            {},
        ),
    }
_relu = {**SETTINGS, "nonlinearity": "relu"}
LAYERS["RNN-relu"] = ("RNN", {**_relu, "num_layers": 2}, [(5, 2, 4)], {})
LAYERS["RNNCell-relu"] = ("RNNCell", _relu, [(4,), (3,)], {})


def made(spec, random, inputs=()):
    """The value of a spec, in NumPy: an array, a tuple of arrays, or a setting."""
    if isinstance(spec, list):
        return tuple(made(part, random) for part in spec)
    if isinstance(spec, tuple):
        return random.normal(size=spec)
    return inputs[int(spec)] if isinstance(spec, str) else spec


def leaves(value):
    """The arrays or tensors in a tree of tuples, None left out."""
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [] if value is None else [value]
