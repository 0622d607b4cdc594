"""The networks of `digest.py`, one file a kind; importing them fills the table."""

from networks import (
    attention,
    control,
    convolution,
    dense,
    generative,
    losses,
    numeric,
    optimizers,
    recurrent,
    workloads,
)
from networks.network import NETWORKS, Network, Training

__all__ = [
    "NETWORKS",
    "Network",
    "Training",
    "attention",
    "control",
    "convolution",
    "dense",
    "generative",
    "losses",
    "numeric",
    "optimizers",
    "recurrent",
    "workloads",
]
