"""Networks as functions: activations, losses, and layers whose weights are given.

`import smelt.nn.functional as F` gives the same names.
"""

from smelt.creation import one_hot
from smelt.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
)
from smelt.functional.attention import (
    attention_weights,
    masked_mean,
    scaled_dot_product_attention,
    sinusoidal_encoding,
)
from smelt.functional.channel_dropout import (
    dropout1d,
    dropout2d,
    dropout3d,
)
from smelt.functional.convolution import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    convolve,
    correlate,
)
from smelt.functional.distances import (
    pairwise_distance,
)
from smelt.functional.interpolation import interpolate
from smelt.functional.layers import (
    batch_norm,
    dropout,
    embedding,
    group_norm,
    instance_norm,
    layer_norm,
    linear,
    normalize,
    rms_norm,
)
from smelt.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cosine_similarity,
    cross_entropy,
    gaussian_nll_loss,
    hinge_embedding_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    squared_error,
    triplet_margin_loss,
)
from smelt.functional.padding import pad
from smelt.functional.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from smelt.functional.rearranging import (
    pixel_shuffle,
    pixel_unshuffle,
)
from smelt.functional.variational import kl_divergence_normal, reparameterize
from smelt.tensor.activations import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    heaviside,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    step,
    tanh,
    tanhshrink,
    threshold,
)

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "attention_weights", "avg_pool1d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "celu", "conv1d", "conv2d", "conv_transpose1d",
    "conv_transpose2d", "convolve", "correlate", "cosine_embedding_loss", "cosine_similarity",
    "cross_entropy", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "embedding",
    "gaussian_nll_loss", "gelu", "glu", "group_norm", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "heaviside", "hinge_embedding_loss", "hinge_loss", "huber_loss", "identity",
    "instance_norm", "interpolate", "kl_div", "kl_divergence_normal", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "logsigmoid", "margin_ranking_loss",
    "masked_mean", "max_pool1d", "max_pool2d", "mish", "mse_loss", "nll_loss", "normalize",
    "one_hot", "pad", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss",
    "prelu", "relu", "relu6", "reparameterize", "rms_norm", "scaled_dot_product_attention", "selu",
    "sigmoid", "silu", "sinusoidal_encoding", "smooth_l1_loss", "soft_margin_loss", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "squared_error", "step", "tanh", "tanhshrink",
    "threshold", "triplet_margin_loss",
]  # fmt: skip
