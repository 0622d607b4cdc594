"""Many steps in one call of `over`: how often Python has its turn, and whether the GIL is held."""

from __future__ import annotations

import threading
import time

import numpy as np
from notes import ARGUMENTS, note

import smelt
from smelt import distributed as dist
from smelt import nn, optim
from smelt.compiler.runtime.native import Native

STEPS = int(ARGUMENTS[0])
dist.init_process_group()
model = dist.DistributedDataParallel(nn.Linear(16, 4))
optimizer = optim.Adam(model.parameters(), lr=1e-3)


@smelt.compile
def step(x):
    optimizer.zero_grad()
    loss = (model(x) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss


x = np.ones((STEPS * 2, 16), np.float32)
step.over(x[:8], batch_size=2)  # compiles
calls, given = [], Native.run


def counted(*arguments, **options):
    calls.append(arguments)
    return given(*arguments, **options)


Native.run = counted
turns, done = 0, threading.Event()


def beside() -> None:
    global turns
    while not done.is_set():
        time.sleep(0.001)  # and the GIL, to go on
        turns += 1


thread = threading.Thread(target=beside)
thread.start()
before, began = turns, time.perf_counter()
losses = step.over(x, batch_size=2)
seconds, turns_meanwhile = time.perf_counter() - began, turns - before
done.set()
thread.join()
note(
    calls=len(calls),
    seconds=seconds,
    turns=turns_meanwhile,
    losses=len(losses),
    last=float(losses[-1].item()),
)
