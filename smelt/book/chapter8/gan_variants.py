"""P8.1: one GAN, five games: what the generator and the discriminator are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.chapter8 import gan
from smelt.book.entry import Page, entry

Tensor = smelt.Tensor
BCE = F.binary_cross_entropy_with_logits
LONG, FAST, BATCH = 10_000, 1e-3, 256  # beside the book's 2,000 steps with a rate of 2e-4


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss of the book: -log D(x) - log(1 - D(G(z))), of logits (n, 1)."""
    return BCE(real, smelt.ones_like(real)) + BCE(fake, smelt.zeros_like(fake))


def smoothed(real: Tensor, fake: Tensor) -> Tensor:
    """Real points are to be called real with probability 0.9 only."""
    return BCE(real, smelt.full_like(real, 0.9)) + BCE(fake, smelt.zeros_like(fake))


def taken_for_real(fake: Tensor) -> Tensor:
    """The generator's loss of the book, -log D(G(z)): steep where the generator loses."""
    return BCE(fake, smelt.ones_like(fake))


def not_caught(fake: Tensor) -> Tensor:
    """The minimax loss, log(1 - D(G(z))): flat where the generator loses."""
    return -BCE(fake, smelt.zeros_like(fake))


@dataclass(frozen=True, slots=True)
class Game:
    """What both are told.

    Args:
        of_discriminator: loss of logits of real and fake points.
        of_generator: loss of logits of fake points.
        noise: deviation of noise on all points that the discriminator sees; it falls to 0.
        penalty: weight of (|dD/dx| - 1)^2 between real and fake points, as in WGAN-GP.
        turns: of the discriminator for one of the generator.
    """

    of_discriminator: Callable[[Tensor, Tensor], Tensor] = told_apart
    of_generator: Callable[[Tensor], Tensor] = taken_for_real
    noise: float = 0.0
    penalty: float = 0.0
    turns: int = 1


GAMES = {
    "minimax": Game(of_generator=not_caught),
    "non-saturating": Game(),
    "label smoothing": Game(smoothed),
    "instance noise": Game(noise=0.5),
    "WGAN-GP": Game(
        lambda real, fake: fake.mean() - real.mean(),
        lambda fake: -fake.mean(),
        penalty=1.0,
        turns=3,
    ),
}


def unevenness(discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Returns the mean of (|dD/dx| - 1)^2 at random places between real and fake points."""
    where = smelt.rand(real.shape[0], 1)
    x = where * real + (1 - where) * fake
    slopes = smelt.grad(lambda x: discriminator(x).sum())(x)  # (n, 2)
    lengths = smelt.sqrt((slopes * slopes).sum(1) + 1e-12)
    return ((lengths - 1) ** 2).mean()


def play(game: Game, steps: int, batch: int, lr: float, falls: bool) -> tuple[nn.Module, float]:
    """Returns the generator after so many steps of both, and the unrest of its last losses."""
    smelt.manual_seed(gan.SEED)
    generator, discriminator = gan.make_generator(), gan.make_discriminator()
    betas = (0.5, 0.99) if falls else (0.9, 0.999)
    opts = [optim.Adam(net.parameters(), lr=lr, betas=betas) for net in (discriminator, generator)]
    schedules = [optim.lr_scheduler.CosineAnnealingLR(opt, steps) for opt in opts if falls]
    noise = smelt.tensor(game.noise)

    def blurred(x: Tensor) -> Tensor:
        return x + noise * smelt.randn(batch, 2) if game.noise else x

    def improve(opt: optim.Optimizer, loss: Tensor) -> None:
        opt.zero_grad()
        loss.backward()
        opt.step()

    @smelt.compile
    def step() -> Tensor:
        for _ in range(game.turns):
            real, fake = gan.real_points(batch), generator(smelt.randn(batch, gan.NOISE)).detach()
            logits = discriminator(blurred(real)), discriminator(blurred(fake))
            loss = game.of_discriminator(*logits)
            if game.penalty:
                loss = loss + game.penalty * unevenness(discriminator, real, fake)
            improve(opts[0], loss)
        fake = generator(smelt.randn(batch, gan.NOISE))
        loss = game.of_generator(discriminator(blurred(fake)))
        improve(opts[1], loss)
        for schedule in schedules:
            schedule.step()
        noise.copy_(smelt.clamp(noise - game.noise / (0.8 * steps), 0.0))
        return loss

    losses = step.repeat(steps).numpy()
    return generator, float(losses[-500:].std())


@entry("P8.1", "Five losses for the GAN in the plane, side by side")
def variants(page: Page) -> None:
    """Minimax, non-saturating, smoothed labels, noise on the points, and WGAN-GP.

    First 2,000 steps with the book's settings, then 10,000 larger ones that come to rest.
    """
    target = gan.real_points(800)
    shares = {}
    for name, settings in {
        "book": (gan.STEPS, gan.BATCH, gan.LR, False),
        "long": (LONG, BATCH, FAST, True),
    }.items():
        points, notes, rows = {}, {}, []
        for title, game in GAMES.items():
            generator, unrest = play(game, *settings)
            drawn = gan.samples(generator, 10_000)
            left, right = gan.within(drawn, 3)
            shares[name, title] = (left, right)
            rows.append((title, left, right, left + right, *drawn.std(0), unrest))
            points[title], notes[title] = drawn[:300], f"{left + right:.0%} within 3 sigma"
            if name == "book":
                few = ", ".join(f"({x:.2f}, {y:.2f})" for x, y in drawn[:10])
                page.print(f"{title}: {few}")
        page.table(["loss", "left", "right", "within 3 sigma", "sd x", "sd y", "unrest"], rows)
        steps = f"{settings[0]:,} steps, learning rate {settings[2]:g}"
        page.figure(f"variants-{name}", plot.sample_variants(
            target, points, centers=gan.CENTERS, notes=notes, title=steps))  # fmt: skip
    page.answer(
        """
        The book's program already uses the non-saturating loss that its problem asks for; the
        real contrast is minimax, log(1 - D(G(z))), whose slope vanishes where the discriminator
        is sure, which is where the generator needs it most.

        With the book's 2,000 small steps the five differ little: all leave points between the
        clusters, because none has had time. Trained longer, all find both clusters; what differs
        is how sharp and how steady they are. Smoothed labels and noise keep the discriminator
        from being sure, so its slope stays useful; noise also gives the two distributions a common
        ground until it fades. WGAN-GP measures a distance instead of a probability. That needs a
        discriminator that keeps up: here it moves three times for each move of the generator, and
        with 64 units it is still the least sharp of the five.

        Diversity: the deviations should be 2.06 in x and 0.5 in y, and each cluster should get a
        half. Stability: "unrest" is the deviation of the generator's last 500 losses.
        """
    )
    early = max(sum(pair) for (name, _), pair in shares.items() if name == "book")
    late = {title: sum(pair) for (name, title), pair in shares.items() if name == "long"}
    page.claim("2,000 steps of the book: best share within 3 sigma", "< 95 %", f"{early:.0%}",
               early < 0.95)  # fmt: skip
    both = min(min(pair) for (name, _), pair in shares.items() if name == "long")
    page.claim("10,000 steps: every loss finds both clusters", "each >= 40 %", f"{both:.0%}",
               both >= 0.4)  # fmt: skip
    best = max(late, key=lambda title: late[title])
    page.claim("10,000 steps: best share within 3 sigma", ">= 95 %",
               f"{late[best]:.1%}, {best}", late[best] >= 0.95)  # fmt: skip
