"""What both sides of layers.npz share: which layers, on what inputs. Needs no torch, no Smelt.

A case is (class, settings, inputs). An input is a shape (normal numbers) or (kind, shape, ...).
Kinds: "int" (below a bound), "unit" (from 0 to 1), "positive", "sign" (1 or -1), "probabilities".
"""

import numpy as np

X = (5, 4)


def _all_reductions(kind, inputs, **settings):
    names = ("mean", "sum", "none")
    return {f"{kind}-{name}": (kind, {**settings, "reduction": name}, inputs) for name in names}


ACTIVATIONS = {
    "ReLU": {},
    "ReLU6": {},
    "Sigmoid": {},
    "LogSigmoid": {},
    "Tanh": {},
    "SiLU": {},
    "Mish": {},
    "SELU": {},
    "Softsign": {},
    "Tanhshrink": {},
    "Hardshrink": {"lambd": 0.4},
    "Softshrink": {"lambd": 0.3},
    "Threshold": {"threshold": 0.1, "value": -2.0},
    "Hardsigmoid": {},
    "Hardswish": {},
    "GELU": {"approximate": "tanh"},
    "LeakyReLU": {"negative_slope": 0.2},
    "PReLU": {"num_parameters": 4, "init": 0.3},
    "ELU": {"alpha": 0.7},
    "CELU": {"alpha": 0.7},
    "Softplus": {"beta": 1.5, "threshold": 2.0},
    "Hardtanh": {"min_val": -0.5, "max_val": 0.8},
    "Softmax": {"dim": 1},
    "Softmin": {"dim": 0},
    "LogSoftmax": {"dim": -1},
    "GLU": {"dim": 1},
}

IMAGE = (2, 4, 7, 6)
SERIES = (2, 4, 9)

CONVOLUTIONS = {
    "Conv1d": ({"kernel_size": 3}, SERIES),
    "Conv1d-groups": ({"kernel_size": 2, "groups": 2, "dilation": 3, "padding": 1}, SERIES),
    "Conv1d-same": ({"kernel_size": 4, "padding": "same", "bias": False}, SERIES),
    "Conv1d-circular": ({"kernel_size": 3, "padding": 2, "padding_mode": "circular"}, SERIES),
    "Conv1d-alone": ({"kernel_size": 3, "stride": 2}, SERIES[1:]),
    "Conv2d": ({"kernel_size": 3}, IMAGE),
    "Conv2d-strided": ({"kernel_size": (3, 2), "stride": (2, 3), "padding": 1}, IMAGE),
    "Conv2d-dilated": ({"kernel_size": 3, "dilation": (1, 2), "padding": "valid"}, IMAGE),
    "Conv2d-depthwise": ({"kernel_size": 3, "groups": 4, "padding": 1, "bias": False}, IMAGE),
    "Conv2d-same": ({"kernel_size": (4, 3), "padding": "same", "dilation": (1, 2)}, IMAGE),
    "Conv2d-reflect": ({"kernel_size": 3, "padding": 2, "padding_mode": "reflect"}, IMAGE),
    "Conv2d-replicate": (
        {"kernel_size": 4, "padding": "same", "padding_mode": "replicate"},
        IMAGE,
    ),
    "Conv2d-point": ({"kernel_size": 1, "stride": 2}, IMAGE),
    "ConvTranspose1d": ({"kernel_size": 3, "stride": 2, "output_padding": 1}, SERIES),
    "ConvTranspose1d-groups": ({"kernel_size": 4, "groups": 2, "padding": 2}, SERIES),
    "ConvTranspose2d": ({"kernel_size": 4, "stride": 2, "padding": 1}, IMAGE),
    "ConvTranspose2d-all": (
        {
            "kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 2), "output_padding": (1, 0),
            "dilation": (2, 1), "groups": 2, "bias": False,
        },
        IMAGE,
    ),
}  # fmt: skip

PADS = {
    f"{kind}Pad{n}d{end}": (f"{kind}Pad{n}d", {"padding": padding, **more}, shape)
    for kind, more in (
        ("Zero", {}),
        ("Constant", {"value": 1.5}),
        ("Reflection", {}),
        ("Replication", {}),
        ("Circular", {}),
    )
    for n, end, padding, shape in (
        (1, "", 2, (2, 3, 4)),
        (1, "-alone", (0, 1), (3, 4)),
        (2, "", (1, 2, 0, 1), (2, 3, 4, 3)),
        (2, "-alone", 1, (3, 4, 3)),
        (3, "", (1, 0, 0, 1, 1, 1), (1, 2, 3, 2, 3)),
    )
}

POOLS = {
    "MaxPool1d": ({"kernel_size": 3}, SERIES),
    "MaxPool1d-all": (
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
        SERIES,
    ),
    "MaxPool2d": ({"kernel_size": 2}, IMAGE),
    "MaxPool2d-overlapping": ({"kernel_size": 3, "stride": 2, "padding": 1}, IMAGE),
    "MaxPool2d-ceil": ({"kernel_size": (3, 2), "stride": (2, 4), "ceil_mode": True}, IMAGE),
    "MaxPool2d-alone": ({"kernel_size": (5, 4), "stride": 1}, IMAGE[1:]),
    "AvgPool1d": ({"kernel_size": 4, "stride": 3, "padding": 2}, SERIES),
    "AvgPool1d-exact": (
        {"kernel_size": 3, "padding": 1, "count_include_pad": False, "ceil_mode": True},
        SERIES,
    ),
    "AvgPool2d": ({"kernel_size": (7, 3)}, IMAGE),
    "AvgPool2d-ceil": ({"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, IMAGE),
    "AvgPool2d-divisor": ({"kernel_size": (2, 3), "divisor_override": 5}, IMAGE),
    "AdaptiveAvgPool1d": ({"output_size": 4}, SERIES),
    "AdaptiveAvgPool2d": ({"output_size": (3, None)}, IMAGE),
    "AdaptiveAvgPool2d-one": ({"output_size": 1}, IMAGE),
    "AdaptiveMaxPool1d": ({"output_size": 4}, SERIES),
    "AdaptiveMaxPool2d": ({"output_size": (3, 4)}, IMAGE),
    "AdaptiveMaxPool2d-one": ({"output_size": (None, 1)}, IMAGE),
}


def _channels(settings):
    return {"in_channels": 4, "out_channels": 8 if "groups" in settings else 3, **settings}


LAYERS = {
    **{
        name: (name.split("-")[0], _channels(settings), [shape])
        for name, (settings, shape) in CONVOLUTIONS.items()
    },
    **{name: (name.split("-")[0], settings, [shape]) for name, (settings, shape) in POOLS.items()},
    **{name: (kind, settings, [shape]) for name, (kind, settings, shape) in PADS.items()},
    "InstanceNorm1d": ("InstanceNorm1d", {"num_features": 3}, [(2, 3, 4)]),
    "InstanceNorm1d-alone": ("InstanceNorm1d", {"num_features": 3, "affine": True}, [(3, 4)]),
    "InstanceNorm2d": (
        "InstanceNorm2d",
        {"num_features": 3, "affine": True, "track_running_stats": True, "momentum": 0.3},
        [(2, 3, 4, 5)],
    ),
    "InstanceNorm3d": ("InstanceNorm3d", {"num_features": 2, "eps": 1e-2}, [(2, 2, 2, 3, 2)]),
    "RMSNorm": ("RMSNorm", {"normalized_shape": (3, 4)}, [(5, 3, 4)]),
    "RMSNorm-plain": (
        "RMSNorm",
        {"normalized_shape": 4, "eps": 1e-2, "elementwise_affine": False},
        [(5, 3, 4)],
    ),
    "PixelShuffle": ("PixelShuffle", {"upscale_factor": 3}, [(2, 18, 2, 1)]),
    "PixelUnshuffle": ("PixelUnshuffle", {"downscale_factor": 2}, [(3, 2, 4)]),
    "Softmax2d": ("Softmax2d", {}, [(2, 3, 2, 2)]),
    "PairwiseDistance": ("PairwiseDistance", {"p": 3.0, "eps": 0.1, "keepdim": True}, [X, X]),
    "GroupNorm": ("GroupNorm", {"num_groups": 2, "num_channels": 4}, [IMAGE]),
    "GroupNorm-plain": (
        "GroupNorm",
        {"num_groups": 4, "num_channels": 4, "affine": False, "eps": 1e-2},
        [(3, 4, 5)],
    ),
    "Linear": ("Linear", {"in_features": 4, "out_features": 3}, [X]),
    "Linear-batches": ("Linear", {"in_features": 4, "out_features": 3, "bias": False}, [(2, 5, 4)]),
    "Linear-vector": ("Linear", {"in_features": 4, "out_features": 3}, [(4,)]),
    "Bilinear": (
        "Bilinear",
        {"in1_features": 4, "in2_features": 3, "out_features": 2},
        [(5, 4), (5, 3)],
    ),
    "Bilinear-batches": (
        "Bilinear",
        {"in1_features": 2, "in2_features": 3, "out_features": 4, "bias": False},
        [(2, 3, 2), (2, 3, 3)],
    ),
    "Embedding": ("Embedding", {"num_embeddings": 6, "embedding_dim": 3}, [("int", (4, 5), 6)]),
    "Embedding-padding": (
        "Embedding",
        {"num_embeddings": 6, "embedding_dim": 3, "padding_idx": -4},
        [("int", (20,), 6)],
    ),
    "LayerNorm": ("LayerNorm", {"normalized_shape": 4}, [(5, 3, 4)]),
    "LayerNorm-plain": (
        "LayerNorm",
        {"normalized_shape": (3, 4), "eps": 1e-3, "elementwise_affine": False},
        [(5, 3, 4)],
    ),
    "LayerNorm-no-bias": ("LayerNorm", {"normalized_shape": (3, 4), "bias": False}, [(5, 3, 4)]),
    "BatchNorm1d": ("BatchNorm1d", {"num_features": 4}, [X]),
    "BatchNorm1d-length": ("BatchNorm1d", {"num_features": 4, "momentum": None}, [(5, 4, 3)]),
    "BatchNorm1d-plain": (
        "BatchNorm1d",
        {"num_features": 4, "affine": False, "track_running_stats": False, "eps": 1e-2},
        [X],
    ),
    "BatchNorm2d": ("BatchNorm2d", {"num_features": 3, "momentum": 0.3}, [(2, 3, 4, 5)]),
    "Flatten": ("Flatten", {}, [(2, 3, 4)]),
    "Unflatten": ("Unflatten", {"dim": 1, "unflattened_size": (2, -1)}, [(3, 6, 2)]),
    "Upsample": ("Upsample", {"scale_factor": 1.7, "mode": "linear"}, [(2, 3, 5)]),
    "Upsample-corners": (
        "Upsample",
        {"size": (7, 3), "mode": "bilinear", "align_corners": True},
        [(2, 3, 4, 5)],
    ),
    "Upsample-area": ("Upsample", {"size": (3, 7), "mode": "area"}, [(2, 3, 4, 5)]),
    "Upsample-exact": ("Upsample", {"size": 7, "mode": "nearest-exact"}, [(2, 3, 5)]),
    "UpsamplingNearest2d": ("UpsamplingNearest2d", {"scale_factor": 1.5}, [(2, 3, 4, 5)]),
    "UpsamplingBilinear2d": ("UpsamplingBilinear2d", {"size": (6, 9)}, [(2, 3, 4, 5)]),
    "Identity": ("Identity", {}, [X]),
    "GELU-exact": ("GELU", {}, [X]),
    **{name: (name, settings, [X]) for name, settings in ACTIVATIONS.items()},
    **_all_reductions("MSELoss", [X, X]),
    **_all_reductions("L1Loss", [X, X]),
    **_all_reductions("SmoothL1Loss", [X, X], beta=0.7),
    **_all_reductions("HuberLoss", [X, X], delta=0.7),
    **_all_reductions("CrossEntropyLoss", [X, ("int", (5,), 4)]),
    "CrossEntropyLoss-smooth": (
        "CrossEntropyLoss",
        {"label_smoothing": 0.1, "ignore_index": 2},
        [(4, 3, 2), ("int", (4, 2), 3)],
    ),
    "CrossEntropyLoss-soft": ("CrossEntropyLoss", {}, [X, ("probabilities", X)]),
    **_all_reductions("NLLLoss", [X, ("int", (5,), 4)], ignore_index=1),
    **_all_reductions("BCELoss", [("unit", X), ("unit", X)]),
    **_all_reductions("BCEWithLogitsLoss", [X, ("unit", X)]),
    **_all_reductions("KLDivLoss", [X, ("probabilities", X)]),
    "KLDivLoss-batchmean": ("KLDivLoss", {"reduction": "batchmean"}, [X, ("probabilities", X)]),
    "KLDivLoss-log": ("KLDivLoss", {"log_target": True}, [X, X]),
    **_all_reductions("PoissonNLLLoss", [X, ("positive", X)]),
    "PoissonNLLLoss-plain": ("PoissonNLLLoss", {"log_input": False}, [("positive", X)] * 2),
    **_all_reductions("GaussianNLLLoss", [X, X, ("positive", X)], full=True),
    **_all_reductions("SoftMarginLoss", [X, ("sign", X)]),
    **_all_reductions("HingeEmbeddingLoss", [X, ("sign", X)], margin=0.5),
    **_all_reductions("CosineEmbeddingLoss", [X, X, ("sign", (5,))], margin=0.1),
    **_all_reductions("MarginRankingLoss", [(6,), (6,), ("sign", (6,))], margin=0.2),
    **_all_reductions("TripletMarginLoss", [X, X, X]),
    "CosineSimilarity": ("CosineSimilarity", {"dim": 1}, [X, X]),
}


def inputs_of(case, random):
    """The inputs of a case as NumPy arrays."""
    return [_input(spec, random) for spec in LAYERS[case][2]]


def moving(case):
    """The numbers of the inputs that gradients are recorded for."""
    specs = LAYERS[case][2]
    plain = [not isinstance(spec[0], str) for spec in specs]
    return [n for n, spec in enumerate(specs) if plain[n] or (n == 0 and spec[0] != "int")]


def _input(spec, random):
    kind, shape, *rest = spec if isinstance(spec[0], str) else ("normal", spec)
    if kind == "int":
        return random.integers(0, rest[0], shape)
    if kind == "sign":
        return random.choice([-1.0, 1.0], shape)
    if kind == "unit":
        return random.uniform(0.05, 0.95, shape)
    drawn = random.normal(size=shape)
    if kind == "positive":
        return np.abs(drawn) + 0.1
    return np.exp(drawn) / np.exp(drawn).sum(1, keepdims=True) if kind == "probabilities" else drawn
