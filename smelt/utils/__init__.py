"""Where PyTorch's users look for data sets and loaders: they are in `smelt.data`."""

from smelt.pytorch_names import install as _install
from smelt.utils import data

__all__ = ["data"]

_install(__name__)
