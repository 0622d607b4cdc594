"""PyTorch's names for data sets and loaders, as in `from smelt.utils.data import DataLoader`."""

from smelt.data.collate import collate as default_collate
from smelt.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from smelt.data.loader import DataLoader
from smelt.pytorch_names import install as _install

__all__ = [
    "ConcatDataset", "DataLoader", "Dataset", "Subset", "TensorDataset", "default_collate",
    "random_split",
]  # fmt: skip

_install(__name__)
