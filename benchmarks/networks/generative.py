"""Networks that draw: autoencoders, adversaries, diffusion, weights that are distributions."""

from __future__ import annotations

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, shares, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType


@network("dropout")
def dropout(dtype: DType) -> Training:
    """Dropout of several rates; its random numbers do not depend on the dtype."""
    layers = nn.Linear(17, 65), nn.ReLU(), nn.Dropout(0.5), nn.Linear(65, 33), nn.Dropout(0.1)
    model = nn.Sequential(*layers, nn.Linear(33, 3)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, y = numbers(dtype, 33, 17), labels(3, 33)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)


@network("variational-autoencoder", reference=False)
def variational_autoencoder(dtype: DType) -> Training:
    """Images to distributions and back, with random numbers in between."""
    model = nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Flatten(), nn.Linear(144, 40), nn.ReLU(), nn.Linear(40, 8)),
            "decoder": nn.Sequential(nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 144)),
        }
    ).to(dtype)

    def loss_of(x: Tensor) -> Tensor:
        mean, spread = model["encoder"](x).chunk(2, -1)
        logits = model["decoder"](F.reparameterize(mean, spread))
        error = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        return (error + F.kl_divergence_normal(mean, spread).sum()) / x.shape[0]

    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    return trained(model, optimizer, loss_of, shares(dtype, 33, 1, 12, 12))


@network("uncertain-weights", reference=False)
def uncertain_weights(dtype: DType) -> Training:
    """Weights and kernels that are distributions, drawn anew in each step."""
    model = nn.Sequential(
        nn.VariationalConv2d(2, 6, 3, padding=1, rho=-3.0), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.VariationalLinear(6 * 16, 5, prior_std=0.5),
    ).to(dtype)  # fmt: skip

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y) + nn.kl_divergence(model) / 1000

    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    return trained(model, optimizer, loss_of, numbers(dtype, 17, 2, 8, 8), labels(5, 17))


@network("gradient-penalty", reference=False)
def gradient_penalty(dtype: DType) -> Training:
    """Two adversaries of images; the judge's slope is held near 1, a gradient of a gradient."""
    judge = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1),
    )  # fmt: skip
    maker = nn.Sequential(
        nn.Linear(6, 64), nn.Unflatten(1, (16, 2, 2)), nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1), nn.Tanh(),
    )  # fmt: skip
    model = nn.ModuleList([judge, maker]).to(dtype)
    for_judge = optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.9))
    for_maker = optim.Adam(maker.parameters(), lr=1e-3, betas=(0.5, 0.9))

    def step(real: Tensor) -> Tensor:
        fake = maker(smelt.randn(real.shape[0], 6, dtype=dtype)).detach()
        mix = smelt.rand(real.shape[0], 1, 1, 1, dtype=dtype)
        slope = smelt.grad(lambda x: judge(x).sum())(mix * real + (1 - mix) * fake)
        penalty = (slope.flatten(1).norm(2, 1) - 1.0).square().mean()
        loss = judge(fake).mean() - judge(real).mean() + 10.0 * penalty
        for_judge.zero_grad()
        loss.backward()
        for_judge.step()
        cheat = -judge(maker(smelt.randn(real.shape[0], 6, dtype=dtype))).mean()
        for_maker.zero_grad()
        cheat.backward()
        for_maker.step()
        return loss + cheat

    return Training(step, (numbers(dtype, 9, 1, 8, 8),), model, (for_judge, for_maker))


@network("diffusion")
def diffusion(dtype: DType) -> Training:
    """Noise is added at a random time and told again; an average of the weights goes along."""
    net = nn.Sequential(nn.Linear(2 + 16, 65), nn.SiLU(), nn.Linear(65, 65), nn.SiLU())
    model = nn.ModuleList([net, nn.Linear(65, 2)]).to(dtype)
    average = nn.Linear(65, 2).to(dtype)
    times = F.sinusoidal_encoding(50, 16, "concatenated", dtype)
    kept = smelt.cumprod(smelt.linspace(0.999, 0.9, 50).to(dtype), 0)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step(x: Tensor) -> Tensor:
        t = smelt.randint(0, 50, (x.shape[0],))
        noise = smelt.randn(x.shape).to(dtype)
        share = kept[t].unsqueeze(-1)
        noisy = smelt.sqrt(share) * x + smelt.sqrt(1.0 - share) * noise
        loss = F.mse_loss(model[1](net(smelt.cat([noisy, times[t]], -1))), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with smelt.no_grad():
            for mean, now in zip(average.parameters(), model[1].parameters(), strict=True):
                mean.copy_(0.9 * mean + 0.1 * now)
        return loss

    return Training(step, (numbers(dtype, 65, 2),), nn.ModuleList([model, average]), (optimizer,))


@network("draws", reference=False)
def draws(dtype: DType) -> Training:
    """Every kind of random number, in odd amounts, and a generator of its own."""
    model = nn.Linear(17, 9).to(dtype)
    own = smelt.Generator(5)

    def loss_of(x: Tensor) -> Tensor:
        z = model(x)
        p = F.softmax(z.detach(), -1)
        drawn = [
            smelt.rand_like(z), smelt.randn_like(z, generator=own), smelt.bernoulli(p),
            smelt.uniform(-1.0, 2.0, z.shape), smelt.normal(z.detach(), 0.5),
            smelt.exponential(2.0, z.shape), smelt.poisson(3.0 * p), smelt.permutation(z.detach()),
            smelt.multinomial(p, 9, generator=own), smelt.multinomial(p, 9, replacement=True),
            smelt.randint(-3, 4, z.shape), smelt.randperm(9), smelt.rand(*z.shape, generator=own),
        ]  # fmt: skip
        chosen = F.dropout(z, 0.3, generator=own)
        return sum(((chosen - sample.to(dtype)) ** 2).mean() for sample in drawn)

    optimizer = optim.SGD(model.parameters(), lr=0.01)
    return trained(model, optimizer, loss_of, numbers(dtype, 33, 17))
