"""The training steps that `workloads.py` times, one readable file a kind of network."""

from steps import char_gpt, gan, images, max_of_three, recurrent, sum_mod, tiny_cnn

WORKLOADS = {
    "max-of-three": max_of_three.WORKLOAD,
    "tiny-cnn": tiny_cnn.WORKLOAD,
    "rnn": recurrent.RNN,
    "lstm": recurrent.LSTM,
    "gan": gan.WORKLOAD,
    "sum-mod": sum_mod.WORKLOAD,
    "mnist-cnn": images.SMALL,
    "lenet": images.LARGE,
    "char-gpt": char_gpt.WORKLOAD,
}

__all__ = ["WORKLOADS"]
