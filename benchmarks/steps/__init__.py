"""The training steps that `workloads.py` times, one readable file each."""

from steps import char_gpt, gan, max_of_three, sum_mod

WORKLOADS = {
    "max-of-three": max_of_three.WORKLOAD,
    "gan": gan.WORKLOAD,
    "sum-mod": sum_mod.WORKLOAD,
    "char-gpt": char_gpt.WORKLOAD,
}

__all__ = ["WORKLOADS"]
