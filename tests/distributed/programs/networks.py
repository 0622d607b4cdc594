"""Five networks, trained by all ranks together; notes losses and weights.

python networks.py FOLDER NAME STEPS MODE, MODE "plain", "sync" (BatchNorm of all ranks) or
"deterministic".
"""

from __future__ import annotations

import numpy as np
from notes import ARGUMENTS, digest, note, numbers

import smelt
import smelt.nn.functional as F
from smelt import distributed as dist
from smelt import nn, optim

BATCH = 32  # of all ranks together
NAME, STEPS, MODE = ARGUMENTS[0], int(ARGUMENTS[1]), ARGUMENTS[2]


class Convolutional(nn.Module):
    """A convolution, normalization by the batch, a linear layer."""

    def __init__(self) -> None:
        # no bias before the normalization: its gradient would be 0 but for rounding
        self.convolution = nn.Conv2d(1, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.output = nn.Linear(8 * 36, 4)

    def forward(self, x):
        return self.output(F.relu(self.norm(self.convolution(x))).flatten(1))


class Recurrent(nn.Module):
    """An LSTM over eight steps, and a linear layer on its last output."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.output = nn.Linear(16, 4)

    def forward(self, x):
        return self.output(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    """One layer of an encoder, with dropout."""

    def __init__(self) -> None:
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.output = nn.Linear(8, 4)

    def forward(self, x):
        return self.output(self.layer(x).mean(1))


NETWORKS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 4)), (64,)),
    "cnn": (Convolutional, (1, 8, 8)),
    "lstm": (Recurrent, (8, 8)),
    "transformer": (Attending, (8, 8)),
}


def wrapped(model):
    if MODE == "sync":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return dist.DistributedDataParallel(
        model, deterministic=MODE == "deterministic", bucket_cap_mb=0.002
    )


def classifier():
    """Returns a step, what it reads, and what it changes."""
    make, shape = NETWORKS[NAME]
    model = wrapped(make())
    optimizer = (
        # the gradient of attention's bias of keys is 0 but for rounding, which Adam would blow up
        optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
        if NAME == "transformer"
        else optim.Adam(model.parameters(), lr=1e-3)
    )
    random = np.random.default_rng(1)
    x = random.standard_normal((BATCH * STEPS, *shape)).astype(np.float32)
    y = random.integers(0, 4, BATCH * STEPS)

    @smelt.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = model.backward(lambda x, y: F.cross_entropy(model(x), y), x, y)
        optimizer.step()
        return loss

    return step, (x, y), [model]


def adversarial():
    """The same of a generator and a discriminator that train each other."""
    generator = wrapped(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)))
    discriminator = wrapped(nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)))
    first = optim.Adam(generator.parameters(), lr=1e-3)
    second = optim.Adam(discriminator.parameters(), lr=1e-3)
    random = np.random.default_rng(1)
    real = random.standard_normal((BATCH * STEPS, 2)).astype(np.float32)
    latent = random.standard_normal((BATCH * STEPS, 4)).astype(np.float32)

    def judged(x, wanted):
        logits = discriminator(x)
        return F.binary_cross_entropy_with_logits(logits, smelt.full(logits.shape, wanted))

    def of_both(real, latent):
        return judged(real, 1.0) + judged(generator(latent).detach(), 0.0)

    @smelt.compile
    def step(real, latent):
        second.zero_grad()
        loss = discriminator.backward(of_both, real, latent)
        second.step()
        first.zero_grad()
        other = generator.backward(lambda latent: judged(generator(latent), 1.0), latent)
        first.step()
        return loss + other

    return step, (real, latent), [generator, discriminator]


dist.init_process_group()
smelt.manual_seed(7)
step, data, models = adversarial() if NAME == "gan" else classifier()
smelt.manual_seed(8)
count = BATCH // dist.get_world_size()
rows = np.arange(BATCH * STEPS).reshape(STEPS, dist.get_world_size(), count)[:, dist.get_rank()]
losses = step.over(*data, batch_size=count, order=rows.ravel())
tensors = [x for model in models for x in (*model.parameters(), *model.buffers())]
note(
    bits=digest([losses, *tensors]),
    losses=losses.tolist(),
    weights=numbers(tensors),
    generator=smelt.get_rng_state().tolist(),
)
