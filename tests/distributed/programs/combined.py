"""`train.fit` with what changes gradients, rates and losses, one training after the other.

python combined.py FOLDER MODE

MODE is "plain" or "sharded" (the optimizer's state). No number of ranks above 1 divides a batch.
"""

from __future__ import annotations

import numpy as np
from notes import ARGUMENTS, digest, note, numbers

import smelt
import smelt.nn.functional as F
from smelt import distributed, nn, optim, train
from smelt.optim import lr_scheduler
from smelt.optim.swa_utils import AveragedModel
from smelt.train.ranks import join

MODE = ARGUMENTS[0]
SAMPLES, BATCH, EPOCHS = 53, 11, 3

join()
random = np.random.default_rng(2)
x = random.standard_normal((SAMPLES, 6)).astype(np.float32)
y = random.integers(0, 3, SAMPLES)
some = np.where(np.arange(SAMPLES) % 3 == 0, -100, y)  # labels of which a third is ignored
weights = (random.uniform(0, 2, SAMPLES) ** 3).astype(np.float32)
CLASSES = smelt.tensor([0.2, 1.0, 3.0])


def by_sample(output, target):
    labels, weight = target
    return distributed.weighted_mean(F.cross_entropy(output, labels, reduction="none"), weight)


def trained(loss=None, data=(x, y), adam=False, schedule=None, averages=False, **options):
    """Returns what came of a training."""
    smelt.manual_seed(5)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Dropout(0.2), nn.Linear(24, 3))
    kind, settings = (
        (optim.Adam, {"lr": 0.01}) if adam else (optim.SGD, {"lr": 0.1, "momentum": 0.9})
    )
    given = model
    if MODE == "sharded":
        given = distributed.DistributedDataParallel(model)
        optimizer = distributed.ZeroRedundancyOptimizer(model.parameters(), kind, **settings)
    else:
        optimizer = kind(model.parameters(), **settings)
    scheduler = None if schedule is None else schedule(optimizer)
    averaged = AveragedModel(given) if averages else None
    history = train.fit(
        given, loss or nn.CrossEntropyLoss(), optimizer, data, epochs=EPOCHS, batch_size=BATCH,
        scheduler=scheduler, averaged=averaged, progress=False, **options,
    )  # fmt: skip
    tensors = [*model.parameters(), *(averaged.parameters() if averaged is not None else ())]
    return {
        "bits": digest(tensors),
        "weights": numbers(tensors),
        "losses": [epoch.loss for epoch in history.epochs],
        "held_out": [epoch.held_out for epoch in history.epochs],
        "rate": float(optimizer.param_groups[0]["lr"].item()),
        "generator": smelt.get_rng_state().tolist(),
    }


def by_backward():
    """Returns a gradient of ranks that have different numbers of samples, outside of `fit`."""
    smelt.manual_seed(5)
    model = distributed.DistributedDataParallel(nn.Linear(6, 3))
    rank, size = distributed.get_rank(), distributed.get_world_size()
    first, last = 23 * rank**2 // size**2, 23 * (rank + 1) ** 2 // size**2

    def loss_of(x, y):
        return F.cross_entropy(model(x), y, weight=CLASSES)

    loss = model.backward(loss_of, x[first:last], some[first:last])
    gradients = [p.grad for p in model.parameters()]
    return {
        "bits": digest(gradients),
        "weights": numbers(gradients),
        "losses": [loss.item()],
        "held_out": [],
        "rate": 0.0,
        "generator": smelt.get_rng_state().tolist(),
    }


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=40, cycle_momentum=False)


held_out = {"validation": (x[:20], y[:20])}
found = {
    "nothing": trained(),
    "adam": trained(adam=True),
    "by epoch": trained(schedule=lambda o: lr_scheduler.StepLR(o, 2, gamma=0.1)),
    "by step": trained(schedule=one_cycle),
    "plateau": trained(
        schedule=lambda o: lr_scheduler.ReduceLROnPlateau(o, "min", 0.3, 0, 0.3), **held_out
    ),
    "clipped": trained(max_grad_norm=0.05),
    "accumulated": trained(accumulate=2),
    "class weights": trained(nn.CrossEntropyLoss(weight=CLASSES)),
    "ignored labels": trained(data=(x, some)),
    "sample weights": trained(by_sample, data=(x, (y, weights))),
    "by backward": by_backward(),
    "together": trained(
        nn.CrossEntropyLoss(weight=CLASSES), data=(x, some), adam=True, schedule=one_cycle,
        averages=True, max_grad_norm=0.5, accumulate=2, **held_out,
    ),
}  # fmt: skip
note(found=found)
