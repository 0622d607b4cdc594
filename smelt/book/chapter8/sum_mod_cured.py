"""E8.1+: why the sum modulo 5 is not learned, and how the same Transformer learns it."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.chapter8.sum_mod import BATCH, DIGITS, LR, MODULUS, MeanTransformer, T, accuracy
from smelt.book.entry import Page, entry

UPDATES, SPARSE, ROUND, DECAY = 4000, 1500, 250, 0.3
COUNTS = (1, 2, 4, 8, 16)  # digits of a sequence that may differ from 0


def sparse_batch(n: int, least: float | smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
    """Returns n rows of digits (n, 16), many of them 0, and their sums modulo 5.

    Each row draws from [least, least + 1.2) how likely its digits are kept.
    """
    likely = least + 1.2 * smelt.rand(n, 1)
    x = smelt.where(smelt.rand(n, T) < likely, smelt.randint(0, DIGITS, (n, T)), 0)
    return x, x.sum(1) % MODULUS


def batch_of(n: int, count: int) -> tuple[smelt.Tensor, smelt.Tensor]:
    """Returns n rows whose last 16 - count digits are 0, and their sums modulo 5."""
    x = smelt.where(smelt.arange(T) < count, smelt.randint(0, DIGITS, (n, T)), 0)
    return x, x.sum(1) % MODULUS


def signal(model: nn.Module, count: int, batches: int = 64, size: int = 256) -> float:
    """Returns how clearly the labels speak in the first gradient, beside what is chance.

    Cross-entropy raises the logit of each sequence's own class over the others. The gradients of
    that, d, are averaged over batches in which all classes weigh alike. Returned is the length of
    their mean over that of the mean of as many gradients that point anywhere: 1 says that the
    labels say nothing.
    """

    @smelt.compile
    def gradient() -> smelt.Tensor:
        x, y = batch_of(size, count)
        logits, own = model(x), F.one_hot(y, MODULUS).float()  # (size, 5) each
        raised = (logits * own / own.sum(0)).sum() / MODULUS - logits.mean()
        for p in model.parameters():
            p.grad = None
        raised.backward()
        return smelt.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])

    d = gradient.repeat(batches).numpy()  # (batches, 101,061)
    chance = np.sqrt((d**2).sum(1).mean() / batches)
    return float(np.linalg.norm(d.mean(0)) / chance)


def train(seed: int) -> tuple[nn.Module, dict[str, list[float]]]:
    """Returns the model, and its accuracy by number of digits, every 250 updates."""
    smelt.manual_seed(seed)
    model = MeanTransformer(dropout=0.0)
    opt = optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.98), weight_decay=DECAY)
    schedule = optim.lr_scheduler.CosineAnnealingLR(opt, UPDATES)

    @smelt.compile
    def step(least: smelt.Tensor) -> smelt.Tensor:
        x, y = sparse_batch(BATCH, least)
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        return loss

    progress: dict[str, list[float]] = {f"{count} digits": [] for count in COUNTS}
    for update in range(0, UPDATES, ROUND):
        dense = update >= SPARSE
        if dense:
            opt.param_groups[0]["weight_decay"] = 0.0
        step.repeat(ROUND, 0.4 if dense else 0.0)
        for count, curve in zip(COUNTS, progress.values(), strict=True):
            x, y = batch_of(500, count)
            with smelt.no_grad():
                curve.append(float((model(x).argmax(1) == y).float().mean()))
    return model, progress


@entry("E8.1+", "Sum modulo 5, cured: the same Transformer, with sequences from easy to hard")
def sum_mod_cured(page: Page) -> None:
    """What is wrong with the book's training is neither width nor depth, but its data.

    With 16 random digits every wrong idea of the sum is right in exactly one case of five, so no
    small step is better than another. The first figure measures it: how strongly the labels
    speak in the gradient of the untrained network. Of one digit (the others 0) they are clearly
    heard; of two, next to nothing is left beside chance, and of 16 nothing at all. No learning
    rate, width or token changes that.

    So the cure is to show some easy sequences: each draws at random how many of its digits are 0.
    The same network (without dropout, with PyTorch's first weights) learns one digit, then two,
    then finds the rule, and soon has all 16. Weight decay makes it find the rule sooner: it pulls
    at whatever only knows sequences by heart. After 1,500 updates sequences become denser and
    weights decay no more, so that the last errors go. The learning rate is the book's, and falls
    to 0. The test is the book's: sequences of 16 uniform digits.

    What is not cured is luck: when the rule is found differs much from seed to seed, and sequences
    that become denser before that drown it. Of two runs measured, one of seed 0 ended at 26 % and
    one of seed 1 at 68 %. For those the last claim does not hold, and says so.
    """
    smelt.manual_seed(page.seed)
    strength = {count: signal(MeanTransformer(dropout=0.0), count) for count in COUNTS}
    page.table(["digits", "signal / chance"], list(strength.items()))
    page.figure("signal", plot.bars({f"{count} digits": s for count, s in strength.items()},
                title="What the labels say in the first gradient (1: nothing)"))  # fmt: skip
    page.claim("signal of one digit over chance", "> 3", strength[1], strength[1] > 3)
    page.claim("signal of 16 digits over chance", "1: none", strength[16], strength[16] < 1.5)
    model, progress = train(page.seed)
    page.figure("progress", plot.loss_curves(
        progress, every=ROUND, start=ROUND, levels={"chance": 0.2}, log=False, x_label="update",
        y_label="accuracy", title="Easy sequences first, the others after them"))  # fmt: skip
    right = accuracy(model, 10_000)
    page.print(f"seed {page.seed}, {UPDATES} updates, accuracy {right:.2%}")
    page.claim("accuracy on 10,000 fresh sequences of 16 digits", ">= 99 %", f"{right:.2%}",
               right >= 0.99)  # fmt: skip
