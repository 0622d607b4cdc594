"""Data: datasets, the loader, readers, and a real dataset that comes with the package."""

from smelt.data.dataset import Dataset, Subset, TensorDataset, random_split
from smelt.data.digits import load_digits
from smelt.data.images import read_digit
from smelt.data.loader import DataLoader

__all__ = [
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "load_digits",
    "random_split",
    "read_digit",
]
