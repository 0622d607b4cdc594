"""The cases of functional.npz: shared by the script that asks PyTorch and by the test.

A case is (function, arguments, options). Arguments are names of arrays in `ARRAYS`; gradients are
taken for the float ones whose name does not start with "fixed".
"""

import numpy as np

_draw = np.random.default_rng(20240607)
_grid = np.concatenate(
    [np.linspace(-5.3, 5.1, 27), [0.0, 1e4, -1e4, 100.0, -100.0, 21.5, -30.0, 1e-9]]
)

_logits = _draw.normal(size=(6, 5)) * 3
_extreme = _draw.normal(size=(6, 5)) * 1e4
_soft = np.exp(_logits) / np.exp(_logits).sum(1, keepdims=True)

ARRAYS = {
    "grid": _grid,
    "logits": _logits,
    "extreme": _extreme,
    "vector": _draw.normal(size=5),
    "image": _draw.normal(size=(3, 4, 2, 3)),
    "soft": _soft[::-1].copy(),
    "soft_image": np.abs(_draw.normal(size=(3, 4, 2, 3))),
    "fixed_probability": np.where(_draw.random((6, 5)) < 0.2, 0.0, _soft),
    "fixed_labels": np.array([0, 4, 2, 2, 1, 3]),
    "fixed_gaps": np.array([0, -100, 2, -100, 1, 3]),
    "fixed_sevens": np.array([0, 4, 2, 2, 1, 2]),
    "fixed_label": np.array(3),
    "fixed_pixels": _draw.integers(0, 4, (3, 2, 3)),
    "fixed_weight": np.array([0.3, 1.0, 2.5, 0.1, 1.7]),
    "fixed_weight4": np.array([0.3, 1.0, 2.5, 0.1]),
    "unit": _draw.uniform(0.02, 0.98, (6, 5)),
    "target": _draw.uniform(0.02, 0.98, (6, 5)),
    "fixed_bits": (_draw.random((6, 5)) < 0.5).astype(float),
    "fixed_signs": np.where(_draw.random((6, 5)) < 0.5, -1.0, 1.0),
    "fixed_sign": np.where(_draw.random(6) < 0.5, -1.0, 1.0),
    "other": _draw.normal(size=(6, 5)),
    "third": _draw.normal(size=(6, 5)),
    "positive": np.abs(_draw.normal(size=(6, 5))) + 0.1,
    "slope": np.array([0.2]),
    "slopes": np.array([0.2, -0.1, 0.0, 0.4]),
    "scale": _draw.normal(size=5),
    "shift": _draw.normal(size=5),
    "scale4": _draw.normal(size=4),
    "shift4": _draw.normal(size=4),
    "fixed_mean": _draw.normal(size=4),
    "fixed_var": np.abs(_draw.normal(size=4)) + 0.2,
    "weight": _draw.normal(size=(3, 5)),
    "bias": _draw.normal(size=3),
    "table": _draw.normal(size=(7, 3)),
    "fixed_ids": np.array([[0, 6, 2], [2, 2, 5]]),
    "query": _draw.normal(size=(2, 3, 4)),
    "key": _draw.normal(size=(2, 3, 4)),
    "value": _draw.normal(size=(2, 3, 5)),
    "zeros": np.zeros((6, 5)),
}

CASES = {}
ROUGH = {"hardsigmoid(grid)"}  # where PyTorch's own gradient uses 1/6 in float32


def _case(function, arguments, **options):
    name = f"{function}({', '.join(arguments)}"
    name += "".join(f", {key}={value}" for key, value in options.items()) + ")"
    assert name not in CASES, name
    CASES[name] = (function, arguments, options)


def _each_reduction(function, arguments, **options):
    for reduction in ("mean", "sum", "none"):
        _case(function, arguments, reduction=reduction, **options)


for _name in (
    "relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanh",
    "sigmoid", "logsigmoid", "leaky_relu", "hardtanh", "hardsigmoid", "hardswish", "hardshrink",
    "softshrink", "tanhshrink",
):  # fmt: skip
    _case(_name, ["grid"])
_case("gelu", ["grid"], approximate="tanh")
_case("threshold", ["grid"], threshold=0.5, value=20.0)
_case("elu", ["grid"], alpha=0.7)
_case("celu", ["grid"], alpha=0.5)  # PyTorch rounds alpha to float32
_case("leaky_relu", ["grid"], negative_slope=0.2)
_case("softplus", ["grid"], beta=2.0)
_case("softplus", ["grid"], beta=0.5, threshold=1.0)
_case("prelu", ["image", "slope"])
_case("prelu", ["image", "slopes"])
_case("glu", ["image"], dim=1)
for _name in ("softmax", "log_softmax", "softmin"):
    _case(_name, ["logits"], dim=-1)
    _case(_name, ["extreme"], dim=1)
    _case(_name, ["image"], dim=1)

for _name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
    _each_reduction(_name, ["logits", "other"])
    _case(_name, ["extreme", "other"])
_case("smooth_l1_loss", ["logits", "other"], beta=0.3)
_case("smooth_l1_loss", ["logits", "other"], beta=0)
_case("huber_loss", ["logits", "other"], delta=2.5)
_each_reduction("poisson_nll_loss", ["logits", "positive"])
_case("poisson_nll_loss", ["unit", "positive"], log_input=False)
_each_reduction("gaussian_nll_loss", ["logits", "other", "positive"])
_case("gaussian_nll_loss", ["logits", "other", "positive"], full=True)

_each_reduction("binary_cross_entropy", ["unit", "target"])
_case("binary_cross_entropy", ["unit", "fixed_bits", "fixed_weight"])
_each_reduction("binary_cross_entropy_with_logits", ["logits", "target"])
_each_reduction("binary_cross_entropy_with_logits", ["extreme", "fixed_bits"])
_case("binary_cross_entropy_with_logits", ["zeros", "fixed_bits"], reduction="none")
_case("binary_cross_entropy_with_logits", ["logits", "fixed_bits", "fixed_weight"])
_case("binary_cross_entropy_with_logits", ["logits", "fixed_bits"], pos_weight="fixed_weight")
_case("pairwise_distance", ["logits", "other"])
_case("pairwise_distance", ["logits", "other"], p=1.0, eps=0.5, keepdim=True)
_case("instance_norm", ["image"])
_case("instance_norm", ["image"], weight="scale4", bias="shift4", eps=0.1)
_case("instance_norm", ["image", "fixed_mean", "fixed_var"], use_input_stats=False, weight="scale4")
_each_reduction("soft_margin_loss", ["logits", "fixed_signs"])

for _labels in ("fixed_labels", "fixed_gaps"):
    for _smoothing in (0.0, 0.1):
        _each_reduction("cross_entropy", ["logits", _labels], label_smoothing=_smoothing)
        _each_reduction(
            "cross_entropy", ["logits", _labels, "fixed_weight"], label_smoothing=_smoothing
        )
_each_reduction("cross_entropy", ["extreme", "fixed_labels"])
_case("cross_entropy", ["logits", "fixed_sevens"], ignore_index=2)
_case(
    "cross_entropy", ["logits", "fixed_sevens", "fixed_weight"], ignore_index=2, label_smoothing=0.2
)
_case("cross_entropy", ["vector", "fixed_label"])
_each_reduction("cross_entropy", ["image", "fixed_pixels", "fixed_weight4"], label_smoothing=0.1)
for _smoothing in (0.0, 0.3):
    _each_reduction("cross_entropy", ["logits", "soft"], label_smoothing=_smoothing)
    _each_reduction("cross_entropy", ["logits", "soft", "fixed_weight"], label_smoothing=_smoothing)
_each_reduction("cross_entropy", ["image", "soft_image"])
_each_reduction("nll_loss", ["logits", "fixed_gaps"])
_each_reduction("nll_loss", ["logits", "fixed_labels", "fixed_weight"])
_case("nll_loss", ["image", "fixed_pixels"])

for _reduction in ("mean", "sum", "none", "batchmean"):
    _case("kl_div", ["logits", "soft"], reduction=_reduction)
    _case("kl_div", ["logits", "other"], reduction=_reduction, log_target=True)
_case("kl_div", ["logits", "fixed_probability"], reduction="batchmean")

_case("cosine_similarity", ["logits", "other"])
_case("cosine_similarity", ["image", "soft_image"], dim=-1)
_each_reduction("cosine_embedding_loss", ["logits", "other", "fixed_sign"], margin=0.2)
_each_reduction("hinge_embedding_loss", ["logits", "fixed_signs"])
_each_reduction("margin_ranking_loss", ["logits", "other", "fixed_signs"], margin=0.3)
_each_reduction("triplet_margin_loss", ["logits", "other", "third"])

_case("linear", ["logits", "weight", "bias"])
_case("linear", ["vector", "weight"])
_case("embedding", ["fixed_ids", "table"])
_case("embedding", ["fixed_ids", "table"], padding_idx=2)
_case("layer_norm", ["logits"], normalized_shape=(5,), weight="scale", bias="shift")
_case("layer_norm", ["image"], normalized_shape=(2, 3), eps=0.01)
_case("rms_norm", ["logits"], normalized_shape=(5,), weight="scale", eps=1e-6)
_case("group_norm", ["image"], num_groups=2, weight="scale4", bias="shift4")
_case("batch_norm", ["image", "fixed_mean", "fixed_var", "scale4", "shift4"])
_case("batch_norm", ["image", "fixed_mean", "fixed_var", "scale4", "shift4"], training=True)
_case("normalize", ["logits"])
_case("normalize", ["logits"], p=1.0, dim=0)
_case("normalize", ["zeros"])
_case("scaled_dot_product_attention", ["query", "key", "value"])
_case("scaled_dot_product_attention", ["query", "key", "value"], is_causal=True)


def cotangent(shape):
    """Fixed numbers by which a result is weighted before its gradient is taken."""
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape)
