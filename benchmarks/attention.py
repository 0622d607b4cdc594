"""Attention of growing length, forward and backward: time and memory, by blocks and not.

    python benchmarks/attention.py [--peers /path/to/python/with/torch]

8 heads of 64 columns, batch 2. For each length: milliseconds, and MiB at the peak besides
arguments and results, with blocks of scores (`smelt/functional/attention_blocks.py`), with all
scores at once, and PyTorch's `scaled_dot_product_attention`. The sides take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import smelt
import smelt.nn.functional as F
from smelt.functional import attention_blocks

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
BATCH, HEADS, WIDTH = 2, 8, 64
ROUNDS = 5
TORCH = """
import sys, time, json, torch
import torch.nn.functional as F
batch, heads, width, is_causal = map(int, sys.argv[1:])
for line in sys.stdin:
    shape = batch, heads, int(line), width
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    def run():
        out = F.scaled_dot_product_attention(q, k, v, is_causal=bool(is_causal))
        return torch.autograd.grad((out * out).sum(), (q, k, v))
    run()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    print(json.dumps(min(times)), flush=True)
"""


def step_of(length: int, is_causal: bool, many: int) -> tuple[Callable[[], Any], float]:
    """Returns a step that makes the gradients, and the MiB that it takes."""
    smelt.manual_seed(0)
    arguments = [smelt.randn(BATCH, HEADS, length, WIDTH) for _ in range(3)]

    def loss(q: smelt.Tensor, k: smelt.Tensor, v: smelt.Tensor) -> smelt.Tensor:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
        return (out * out).sum()

    attention_blocks.MANY, before = many, attention_blocks.MANY
    step = smelt.compile(smelt.grad(loss, argnums=(0, 1, 2)))
    step(*arguments)
    attention_blocks.MANY = before
    return lambda: step(*arguments), step.memory().arena / 2**20


def seconds(run: Callable[[], Any]) -> float:
    """Returns the seconds of the quickest of some calls."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has PyTorch")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    given = parser.parse_args()
    peer = None
    if given.peers:
        command = [given.peers, "-c", TORCH, *map(str, (BATCH, HEADS, WIDTH, int(given.causal)))]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print("length     blocks, ms    MiB        whole, ms    MiB      PyTorch, ms")
    for length in given.lengths:
        blocks, little = step_of(length, given.causal, 1)
        whole, much = step_of(length, given.causal, 1 << 62)
        times: list[list[float]] = []
        for _ in range(ROUNDS):
            row = [seconds(blocks), seconds(whole)]
            if peer is not None:
                assert peer.stdin
                assert peer.stdout
                peer.stdin.write(f"{length}\n")
                peer.stdin.flush()
                row.append(json.loads(peer.stdout.readline()))
            times.append(row)
        best = [1e3 * min(column) for column in zip(*times, strict=True)]
        line = f"{length:>6} {best[0]:>14.2f} {little:>6.1f} {best[1]:>16.2f} {much:>6.1f}"
        print(line + "".join(f"{torch:>16.2f}" for torch in best[2:]), flush=True)
    if peer is not None:
        peer.kill()
        peer.wait()


if __name__ == "__main__":
    main()
