"""Data: datasets, the loader, readers, and a real dataset that comes with the package."""

from smelt.data import transforms
from smelt.data.archives import read_hdf5, read_npz
from smelt.data.augment import Augmented
from smelt.data.catalog import DATASETS
from smelt.data.categories import OneHotEncoder, OrdinalEncoder
from smelt.data.channel import Channel
from smelt.data.corpora import load_multi30k, load_sst2, load_tiny_shakespeare
from smelt.data.csv import load_apple_stock, load_california_housing, load_titanic, read_csv
from smelt.data.csv_stream import CSVDataset, iterate_csv
from smelt.data.dataset import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from smelt.data.digits import load_digits
from smelt.data.files import fetch
from smelt.data.filling import SimpleImputer
from smelt.data.hashing import FeatureHasher, HashingVectorizer
from smelt.data.idx import load_fashion_mnist, load_mnist, read_idx
from smelt.data.image_folder import ImageFolder
from smelt.data.images import read_digit, read_image
from smelt.data.loader import DataLoader
from smelt.data.parquet import read_parquet
from smelt.data.photographs import load_catvnoncat
from smelt.data.preprocessing import Preprocessing
from smelt.data.samplers import (
    BatchSampler,
    DistributedSampler,
    LengthBatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from smelt.data.scaling import MinMaxScaler, StandardScaler
from smelt.data.series import split_in_time, windows
from smelt.data.table import Table, as_table
from smelt.data.tokenizer import Tokenizer
from smelt.data.vocabulary import Vocabulary, split_words
from smelt.deprecated import rename
from smelt.pytorch_names import install as _install
from smelt.tensor.checked import checked_room as _checked_room

_install(__name__)  # before the old names, which it answers for last
rename(
    __name__,
    {
        "FillMissing": "SimpleImputer",
        "MinMax": "MinMaxScaler",
        "OneHot": "OneHotEncoder",
        "Standardise": "StandardScaler",
        "obtain": "fetch",
        "words": "split_words",
    },
)

__all__ = [
    "DATASETS",
    "Augmented",
    "BatchSampler",
    "CSVDataset",
    "Channel",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "FeatureHasher",
    "HashingVectorizer",
    "ImageFolder",
    "IterableDataset",
    "LengthBatchSampler",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "Preprocessing",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SimpleImputer",
    "StandardScaler",
    "Subset",
    "SubsetRandomSampler",
    "Table",
    "TensorDataset",
    "Tokenizer",
    "Vocabulary",
    "WeightedRandomSampler",
    "as_table",
    "fetch",
    "iterate_csv",
    "load_apple_stock",
    "load_california_housing",
    "load_catvnoncat",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_multi30k",
    "load_sst2",
    "load_tiny_shakespeare",
    "load_titanic",
    "random_split",
    "read_csv",
    "read_digit",
    "read_hdf5",
    "read_idx",
    "read_image",
    "read_npz",
    "read_parquet",
    "split_in_time",
    "split_words",
    "transforms",
    "windows",
]

_checked_room(__name__)
