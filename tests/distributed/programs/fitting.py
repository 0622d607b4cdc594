"""`train.fit` on several ranks.

python fitting.py FOLDER KIND SAMPLES EPOCHS RUN

KIND is "arrays", "dataset", "loader", "deterministic", "sharded" or "accumulate"; RUN the name of a
run folder, which is gone on with if it is there; "-" for none.
"""

from __future__ import annotations

import sys

import numpy as np
from notes import ARGUMENTS, FOLDER, digest, note, numbers

import smelt
from smelt import data, distributed, nn, optim, train
from smelt.train.ranks import join

KIND, SAMPLES, EPOCHS, RUN = ARGUMENTS[0], int(ARGUMENTS[1]), int(ARGUMENTS[2]), ARGUMENTS[3]
BATCH = 16


class Counting(data.Dataset):
    """Samples by number, and how many were read."""

    def __init__(self, x, y) -> None:
        self.x, self.y, self.read = x, y, 0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        self.read += 1
        return self.x[index], self.y[index]


class Told(train.Callback):
    """The epochs that were told of."""

    def __init__(self) -> None:
        self.epochs = []

    def epoch(self, epoch) -> None:
        self.epochs.append(epoch.number)


join()
smelt.manual_seed(5)
random = np.random.default_rng(2)
x = random.standard_normal((SAMPLES, 6)).astype(np.float32)
y = random.integers(0, 3, SAMPLES)
model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Dropout(0.2), nn.Linear(24, 3))
trained = model
if KIND == "deterministic" or KIND.startswith("sharded"):
    deterministic = KIND == "deterministic"
    trained = distributed.DistributedDataParallel(model, deterministic=deterministic)
if KIND.startswith("sharded"):
    optimizer = distributed.ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.01)
else:
    optimizer = optim.Adam(model.parameters(), lr=0.01)
given, options = (x, y), {"batch_size": BATCH}
counted = Counting(x, y)
match KIND:
    case "dataset":
        given = counted
    case "loader":
        given, options = data.DataLoader(counted, BATCH, shuffle=True, seed=4), {}
    case "accumulate":
        options["accumulate"] = 2
told = Told()
run = None if RUN == "-" else FOLDER / RUN
history = train.fit(
    trained,
    nn.CrossEntropyLoss(),
    optimizer,
    given,
    epochs=EPOCHS,
    validation=(x[:50], y[:50]),
    metrics=["accuracy"],
    run=run,
    resume=run is not None and (run / "checkpoint.safetensors").exists(),
    callbacks=[told],
    **options,
)
kinds = {}
if hasattr(optimizer, "state_dict"):
    kinds = {key: list(value.shape) for key, value in optimizer.state_dict().items()}
note(
    bits=digest(model.parameters()),
    weights=numbers(model.parameters()),
    losses=[epoch.loss for epoch in history.epochs],
    held_out=[epoch.held_out for epoch in history.epochs],
    generator=smelt.get_rng_state().tolist(),
    told=told.epochs,
    read=counted.read,
    state=kinds,
    held=sum(x.size for x in optimizer.optimizer.state[optimizer.part].values())
    if KIND.startswith("sharded")
    else None,
)
sys.stdout.flush()
