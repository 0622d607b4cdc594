"""The public data sets that Smelt reads: their origin, license and exact files.

Each file is verified by its SHA-256, so it does not matter which server provides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DATASETS", "Source", "SourceFile"]

GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a data set.

    Attributes:
        size: bytes.
        sha256: of its contents, in hexadecimal digits.
        urls: where to download it, tried from left to right.
    """

    size: int
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set.

    Attributes:
        title: what it is.
        origin: its authors, and the year.
        license: the terms of use, as far as its publishers state any.
        files: name -> file.
    """

    title: str
    origin: str
    license: str
    files: Mapping[str, SourceFile]


def _served(*folders: str, files: Mapping[str, tuple[int, str]]) -> dict[str, SourceFile]:
    """Returns files of (size, SHA-256) that lie under their names in each of the folders."""
    return {
        name: SourceFile(size, sha256, tuple(f"{folder}/{name}" for folder in folders))
        for name, (size, sha256) in files.items()
    }


#: The public data sets: name -> its files, where they come from, and their checksums.
DATASETS: Mapping[str, Source] = {
    "mnist": Source(
        title="60,000 + 10,000 handwritten digits, 28 x 28 pixels",
        origin=(
            "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits (1998)"
        ),
        license=(
            "Creative Commons Attribution-Share Alike 3.0, as the Keras documentation states it"
        ),
        files=_served(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            f"{GITHUB}/fgnt/mnist/ae608a02b796c9ee908c082585a5f006fe05258e",
            files={
                "t10k-images-idx3-ubyte.gz": (
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
                "train-images-idx3-ubyte.gz": (
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                "train-labels-idx1-ubyte.gz": (
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            },
        ),
    ),
    "fashion-mnist": Source(
        title="60,000 + 10,000 pieces of clothing, 28 x 28 pixels",
        origin="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST (2017)",
        license="MIT, copyright 2017 Zalando SE",
        files=_served(
            f"{GITHUB}/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
            files={
                "t10k-images-idx3-ubyte.gz": (
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
                "train-images-idx3-ubyte.gz": (
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
            },
        ),
    ),
    "catvnoncat": Source(
        title="209 + 50 photographs, 64 x 64 pixels, with and without a cat",
        origin="exercise data of the course Neural Networks and Deep Learning (deeplearning.ai)",
        license="none stated: for research and teaching",
        files=_served(
            "https://github.com/ramakris/coursera-deeplearning/raw/c79617eb"
            "/neuralnetworks/week2/datasets",
            f"{GITHUB}/ramakris/coursera-deeplearning/"
            "b1c8f954b5711f918c75f764138837bbe1b3f7fc/datasets",
            files={
                "test_catvnoncat.h5": (
                    616_958,
                    "6a9d39ce52fa85953c5834695b8534a30ed8cfd54971fb2f080b5a24d002b951",
                ),
                "train_catvnoncat.h5": (
                    2_572_022,
                    "fbe56ab67c3ae28d564e3a644189117976d6b31af0a3ce9bb17dbf22908af242",
                ),
            },
        ),
    ),
    "tinyshakespeare": Source(
        title="a million characters of plays",
        origin="A. Karpathy, char-rnn (2015), out of works of W. Shakespeare",
        license="MIT; the text is in the public domain",
        files=_served(
            f"{GITHUB}/karpathy/char-rnn/"
            "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare",
            files={
                "input.txt": (
                    1_115_394,
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                ),
            },
        ),
    ),
    "sst2": Source(
        title="9,613 sentences of film reviews, praise or blame",
        origin=(
            "R. Socher et al., Recursive Deep Models for Semantic Compositionality Over a "
            "Sentiment Treebank (EMNLP 2013)"
        ),
        license="none stated: for research and teaching",
        files=_served(
            f"{GITHUB}/clairett/pytorch-sentiment-classification/"
            "457ffd83de90a9d6d472d8ffc31bbffe40a8b236/data/SST2",
            files={
                "dev.tsv": (
                    92_057,
                    "eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359",
                ),
                "test.tsv": (
                    188_749,
                    "831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7",
                ),
                "train.tsv": (
                    720_259,
                    "ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920",
                ),
            },
        ),
    ),
    "multi30k-en-fr": Source(
        title="31,014 captions of images, in English and French",
        origin=(
            "D. Elliott et al., Multi30K (2016), and the Second Shared Task on Multimodal Machine "
            "Translation (2017)"
        ),
        license="non-commercial research and education",
        files=_served(
            f"{GITHUB}/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw",
            files={
                "test_2016_flickr.en.gz": (
                    21_077,
                    "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
                ),
                "test_2016_flickr.fr.gz": (
                    22_310,
                    "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
                ),
                "train.en.gz": (
                    568_929,
                    "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
                ),
                "train.fr.gz": (
                    604_242,
                    "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
                ),
                "val.en.gz": (
                    21_650,
                    "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
                ),
                "val.fr.gz": (
                    23_001,
                    "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
                ),
            },
        ),
    ),
    "apple-stock": Source(
        title="506 days of prices of Apple Inc., 2015 to 2017",
        origin="plotly/datasets",
        license="MIT; the source of the prices is not named",
        files=_served(
            f"{GITHUB}/plotly/datasets/0c447c47b757ad74edecab31f0d72f849d2e67c2",
            files={
                "finance-charts-apple.csv": (
                    60_220,
                    "24c7604edfd5afe862ddb9f9535e2fd7351f43711bfc442bca52055e15e37bcd",
                ),
            },
        ),
    ),
    "titanic": Source(
        title="891 passengers of the Titanic, with missing values",
        origin="Kaggle, Titanic - Machine Learning from Disaster",
        license="none stated: for research and teaching",
        files=_served(
            f"{GITHUB}/datasciencedojo/datasets/f0ccab6a7ceafdff780052166fb6fab3311398eb",
            files={
                "titanic.csv": (
                    60_302,
                    "4a437fde05fe5264e1701a7387ac6fb75393772ba38bb2c9c566405af5af4bd7",
                ),
            },
        ),
    ),
    "california-housing": Source(
        title="20,640 districts of California in 1990, with missing values",
        origin=(
            "R. K. Pace and R. Barry, Sparse Spatial Autoregressions (1997), as A. Geron changed it"
        ),
        license="Apache License 2.0; derived from the 1990 US census",
        files=_served(
            f"{GITHUB}/ageron/handson-ml2/"
            "aa555aa16b9d0af6c84e67c7757f3317d05acb12/datasets/housing",
            files={
                "housing.csv": (
                    1_423_529,
                    "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
                ),
            },
        ),
    ),
}
