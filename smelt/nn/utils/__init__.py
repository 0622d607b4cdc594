"""PyTorch's `nn.utils`: clipping, parameters as one vector, weight norm, padding."""

from smelt.nn.utils import rnn
from smelt.nn.utils.vectors import parameters_to_vector, vector_to_parameters
from smelt.nn.utils.weight_norm import remove_weight_norm, weight_norm
from smelt.optim.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from smelt.pytorch_names import install as _install
from smelt.tensor.checked import checked_names as _checked_names

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector",
    "remove_weight_norm", "rnn", "vector_to_parameters", "weight_norm",
]  # fmt: skip

_checked_names(globals(), __all__, __name__)
_install(__name__)
