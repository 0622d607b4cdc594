"""Ranks that do not agree, raise, are killed, are slow or are interrupted: one way a run.

python failing.py FOLDER WAY [SECONDS], SECONDS being how late a slow rank comes
"""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
from notes import ARGUMENTS, FOLDER, note

import smelt
from smelt import distributed as dist
from smelt import nn, optim, train
from smelt.errors import SmeltError

WAY = ARGUMENTS[0]
LAUNCHED = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK", "0")
COUNT = 1 if WAY in ("missing", "size") else 2  # files that are noted: those two are alone


def step_of(model):
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    @smelt.compile
    def step(x):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def refused(function, *arguments, **options):
    """Notes the error that a function raises on this rank."""
    began = time.monotonic()
    try:
        function(*arguments, **options)
    except SmeltError as error:
        note(error=str(error), kind=type(error).__name__, seconds=time.monotonic() - began)
        end = time.monotonic() + 20
        while len([*FOLDER.glob("rank-*.json")]) < COUNT and time.monotonic() < end:
            time.sleep(0.05)
        os._exit(0)  # what must come next is an end
    raise AssertionError("there was no error")


def fitted(samples=64, lr=1e-6, **options):
    x = np.ones((samples, 3), np.float32)
    model = nn.Linear(3, 1)
    return train.fit(
        model, nn.MSELoss(), optim.SGD(model.parameters(), lr), (x, x[:, :1]), batch_size=8,
        progress=False, **options,
    )  # fmt: skip


if WAY == "seed":
    smelt.manual_seed(int(LAUNCHED))
    refused(dist.init_process_group)
if WAY == "version":
    import smelt.distributed.process_group as place

    place.__version__ = f"1.{LAUNCHED}"
    refused(dist.init_process_group)
if WAY == "size":  # the launcher of another MPI: this one's knows of no other process
    for name in [name for name in os.environ if name.startswith(("PMI_", "MPI_", "HYDRA"))]:
        del os.environ[name]
    os.environ["OMPI_COMM_WORLD_SIZE"] = "3"
    refused(dist.init_process_group)
if WAY == "missing":
    sys.modules["mpi4py"] = None
    refused(dist.init_process_group)

dist.init_process_group()
RANK = dist.get_rank()
x = smelt.ones(4, 3)
match WAY:
    case "shape":
        refused(dist.all_reduce, smelt.ones(3 + RANK))
    case "dtype":
        refused(dist.all_reduce, smelt.ones(3, dtype=(smelt.float32, smelt.float64)[RANK]))
    case "model":
        refused(dist.DistributedDataParallel, nn.Linear(3, 2 + RANK))
    case "setting":
        model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1 * RANK))
        refused(dist.DistributedDataParallel, model)
    case "compiled shape":
        step = smelt.compile(lambda x: dist.all_reduce(x).sum())
        refused(step, smelt.ones(3 + RANK))
    case "loop":
        step = smelt.compile(
            lambda x: smelt.scan(lambda c, row: (c + dist.all_reduce(row), None), x.sum(0), x)[0]
        )
        refused(step, smelt.ones(3 + RANK, 4))
    case "branch":
        step = smelt.compile(lambda x: smelt.cond(x.sum() > 0, dist.all_reduce, lambda x: x + 1, x))
        step(x)
        refused(step, x * (1 - 2 * RANK))
    case "turns":
        step = smelt.compile(
            lambda x: smelt.while_loop(lambda c: c.sum() < 50, lambda c: c + dist.all_reduce(x), x)
        )
        step(x)
        refused(step, x * (1 + RANK))
    case "limited turns":
        step = smelt.compile(
            lambda x: smelt.while_loop(
                lambda c: c.sum() < 50, lambda c: c + dist.all_reduce(x), x, max_steps=20
            )
        )
        step(x)
        refused(step, x * (1 + RANK))
    case "eager turns":

        def run(x):
            smelt.while_loop(lambda c: c.sum() < 50, lambda c: c + dist.all_reduce(x), x)
            dist.barrier()

        refused(run, x * (1 + RANK))
    case "collective":
        refused((dist.all_gather, dist.all_reduce)[RANK], x)
    case "steps":
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        refused(lambda: (step.repeat(5 + RANK, x), dist.barrier()))
    case "batch":
        refused(fitted, epochs=1, steps=5 + RANK)
    case "rate":
        refused(fitted, epochs=1, lr=0.1 * (1 + RANK))
    case "data":
        refused(fitted, epochs=1, samples=64 + 8 * RANK)
    case "sum":
        model = nn.Linear(3, 1)
        data = np.ones((16, 3), np.float32), np.ones((16, 1), np.float32)
        loss, optimizer = nn.MSELoss(reduction="sum"), optim.SGD(model.parameters(), 1e-6)
        refused(train.fit, model, loss, optimizer, data, epochs=1, progress=False)
    case "learned weights":
        weights = smelt.ones(4).requires_grad_()
        model = dist.DistributedDataParallel(nn.Linear(3, 1))
        refused(model.backward, lambda x: dist.weighted_mean(model(x)[:, 0], weights), x)
    case "uneven shards":
        model = dist.DistributedDataParallel(nn.Linear(3, 1), deterministic=True, shards=4)
        data = np.ones((18, 3), np.float32), np.ones((18, 1), np.float32)
        optimizer = optim.SGD(model.parameters(), 1e-6)
        fit = train.fit
        refused(fit, model, nn.MSELoss(), optimizer, data, epochs=1, batch_size=6, progress=False)
    case "shards":
        refused(dist.DistributedDataParallel, nn.Linear(3, 1), deterministic=True, shards=3)
    case "calls":  # one rank ends before the other
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        for _ in range(3 + RANK):
            step(x)
    case "raises":
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        step(x)
        if RANK == 1:
            raise ValueError("what went wrong on one rank")
        step.repeat(10**6, x)
    case "check":  # a condition on data fails within the step of one rank
        model = dist.DistributedDataParallel(nn.Linear(3, 4))

        @smelt.compile
        def step(x, y):
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        step(x, smelt.tensor([0, 1, 2, 3 + RANK]))
        step(x, smelt.tensor([0, 1, 2, 3]))
    case "killed":
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        step(x)
        (FOLDER / f"pid-{RANK}").write_text(str(os.getpid()))
        step.repeat(10**9, x)
    case "exits":
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        step(x)
        if RANK == 1:
            sys.exit(3)
        step.repeat(10**9, x)
    case "slow":
        began = time.monotonic()
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        if RANK == 1:
            time.sleep(float(ARGUMENTS[1]))
        note(losses=step.repeat(3, x).tolist(), seconds=time.monotonic() - began)
    case "interrupt":
        (FOLDER / f"pid-{RANK}").write_text(str(os.getpid()))
        step = step_of(dist.DistributedDataParallel(nn.Linear(3, 1)))
        step.repeat(10**9, x)
    case "fit":  # until it is interrupted
        history = fitted(epochs=10**6, run=FOLDER / "run")
        note(interrupted=history.interrupted, epochs=len(history.epochs))
    case "save":  # the first rank dies as it saves for the second time
        count = 0

        class Dying(train.Callback):
            def epoch(self, epoch):
                if epoch.number == 3 and RANK == 0:
                    import smelt.atomic

                    smelt.atomic.os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
                    self.training.callbacks[-1].save_checkpoint()

        fitted(epochs=6, run=FOLDER / "run", callbacks=[Dying()])
    case "resume":
        history = fitted(epochs=6, run=FOLDER / "run", resume=True)
        note(epochs=len(history.epochs), losses=[epoch.loss for epoch in history.epochs])
    case "alive":
        note(done=True)
    case _:
        raise AssertionError(WAY)
