"""Training steps to time, one readable file a kind of network."""

from __future__ import annotations

from smelt.bench.workload import Workload
from smelt.bench.workloads import gan, gpt, images, max_of_three, recurrent, sum_mod, tiny_cnn

WORKLOADS: dict[str, Workload] = {
    "max-of-three": max_of_three.WORKLOAD,
    "tiny-cnn": tiny_cnn.WORKLOAD,
    "rnn": recurrent.RNN,
    "lstm": recurrent.LSTM,
    "gan": gan.WORKLOAD,
    "sum-mod": sum_mod.WORKLOAD,
    "mnist-cnn": images.SMALL,
    "lenet": images.LARGE,
    "char-gpt": gpt.CHAR_GPT,
}

__all__ = ["WORKLOADS"]
