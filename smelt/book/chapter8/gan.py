"""E8.g, E8.p, F8.1, F8.2: two networks play against each other until points look real."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.chapter8.first_weights import widened
from smelt.book.entry import Page, entry

NOISE, HIDDEN = 8, 64
BATCH, STEPS, LR, SEED = 128, 2000, 2e-4, 42
SIGMA, CENTERS = 0.5, np.array([(-2.0, 0.0), (2.0, 0.0)])
BOOK_SAMPLES = np.array([
    (-0.416, 0.173), (-0.323, 0.237), (1.351, -0.047), (-0.558, 0.086), (0.371, 0.288),
    (-0.972, 0.005), (0.307, 0.357), (-1.749, 0.895), (-2.599, -0.228), (2.095, 0.641),
])  # fmt: skip
BOOK_LOSSES = [  # (D, G) every 100 steps, as the book prints them
    (1.2582, 1.2021), (1.1054, 1.0465), (1.0738, 0.9846), (1.0401, 0.9944), (1.0241, 1.0124),
    (1.0091, 1.0272), (1.0070, 1.0396), (1.1176, 0.9270), (1.2840, 0.7944), (1.3622, 0.7892),
    (1.3708, 0.8012), (1.3475, 0.8312), (1.3308, 0.8084), (1.3077, 0.7507), (1.3693, 0.7595),
    (1.3571, 0.7438), (1.3457, 0.7219), (1.3462, 0.7357), (1.2576, 0.7674), (1.2891, 0.7998),
]  # fmt: skip


def value(real: smelt.Tensor, fake: smelt.Tensor) -> smelt.Tensor:
    """V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))], of logits of real and of drawn points.

    The discriminator makes it large, the generator small: min over G of max over D of V(D, G).
    Where D cannot tell, D = 1/2 everywhere and V = -2 ln 2.
    """
    return F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()


def real_points(n: int) -> smelt.Tensor:
    """Returns (n, 2): the first half about (-2, 0), the second about (2, 0)."""
    x = smelt.where(smelt.arange(n) < n // 2, -2.0, 2.0)
    return smelt.stack([x, smelt.zeros(n)], 1) + SIGMA * smelt.randn(n, 2)


def make_generator() -> nn.Sequential:
    """Noise (n, 8) -> points (n, 2), 706 parameters."""
    return widened(nn.Sequential(nn.Linear(NOISE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)))


def make_discriminator() -> nn.Sequential:
    """Points (n, 2) -> logits (n, 1) of being real, 257 parameters."""
    return widened(nn.Sequential(nn.Linear(2, HIDDEN), nn.LeakyReLU(0.01), nn.Linear(HIDDEN, 1)))


def samples(generator: nn.Module, n: int) -> np.ndarray:
    """Returns n points (n, 2) that the generator draws."""
    with smelt.no_grad():
        return generator(smelt.randn(n, NOISE)).numpy()


def within(points: np.ndarray, sigmas: float) -> np.ndarray:
    """Returns the shares of all points that lie within so many sigma of (left, right) center."""
    distances = np.linalg.norm(points[:, None] - CENTERS, axis=2)  # (n, 2)
    return (distances < sigmas * SIGMA).mean(0)


@entry("F8.1", "A generator and a discriminator")
def diagram(page: Page) -> None:
    """The generator sees noise only; all that it learns comes back through the discriminator.

        min over G of max over D of V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]

    D wants D(x) near 1 and D(G(z)) near 0; G wants D(G(z)) near 1. (In one place the text says that
    G wants it near 0. That is what D wants.) Where D cannot tell, D = 1/2 and V = -2 ln 2.
    """
    page.figure("gan", plot.gan())
    generator, discriminator = make_generator(), make_discriminator()
    discriminator(generator(smelt.randn(5, NOISE))).sum().backward()
    reached = all(np.any(np.asarray(p.grad) != 0) for p in generator.parameters())
    page.claim("a gradient reaches every layer of the generator", True, reached, reached)
    doubt = float(value(smelt.zeros(1), smelt.zeros(1)))
    page.claim(
        "V where D is in doubt", "-2 ln 2 = -1.38629", doubt, abs(doubt + 2 * np.log(2)) < 1e-6
    )
    slope = float(smelt.grad(lambda fake: value(smelt.zeros(1), fake))(smelt.zeros(1)))
    page.claim("V falls, as G wants it, when D(G(z)) grows: slope", "< 0", slope, slope < 0)


@entry("E8.g", "A minimal GAN in the plane")
def minimal_gan(page: Page) -> None:
    """A generator learns to draw points from two clusters, from a discriminator's opinion only.

    The discriminator learns to tell real points from drawn ones, the generator learns to be taken
    for real; one step of each in turn. The discriminator's loss is -V(D, G) of `F8.1`; the
    generator's is not V, which is flat where it loses, but -log D(G(z)): it does not saturate.

    The losses settle as the book says, near 2 ln 2 and ln 2, where the discriminator is in doubt;
    and yet many points lie between the clusters. Losses of a game say who is ahead, not how good
    the points are: only the points themselves tell.
    """
    smelt.manual_seed(SEED)
    generator, discriminator = make_generator(), make_discriminator()
    opt_g = optim.Adam(generator.parameters(), lr=LR)
    opt_d = optim.Adam(discriminator.parameters(), lr=LR)

    @smelt.compile
    def step() -> tuple[smelt.Tensor, smelt.Tensor]:
        fake = generator(smelt.randn(BATCH, NOISE)).detach()
        loss_d = -value(discriminator(real_points(BATCH)), discriminator(fake))
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        fake = generator(smelt.randn(BATCH, NOISE))
        loss_g = -F.logsigmoid(discriminator(fake)).mean()
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        return loss_d, loss_g

    losses_d, losses_g = (losses.numpy() for losses in step.repeat(STEPS))  # one native call
    page.table(
        ["step", "D", "G", "book: D", "G"],
        [(k, *(f"{loss:.4f}" for loss in (losses_d[k - 1], losses_g[k - 1], *book)))
         for k, book in zip(range(100, STEPS + 1, 100), BOOK_LOSSES, strict=True)],
    )  # fmt: skip
    for x, y in samples(generator, 10):
        page.print(f"({x:.3f}, {y:.3f})")
    levels = {"2 ln 2": 2 * np.log(2), "ln 2": np.log(2)}
    curves = {"discriminator": losses_d, "generator": losses_g}
    page.figure("losses", plot.loss_curves(curves, levels=levels, smooth=20, title="The game"))
    late_d, late_g = losses_d[STEPS // 2 :].mean(), losses_g[STEPS // 2 :].mean()
    page.claim("mean D loss of the last 1,000 steps", "1.0 to 1.4", late_d, 1.0 <= late_d <= 1.4)
    page.claim("mean G loss of the last 1,000 steps", "0.7 to 1.2", late_g, 0.7 <= late_g <= 1.2)
    points = samples(generator, 10_000)
    left, right = within(points, 2)
    page.claim("the book's failure: points within 2 sigma of a center", "4 of 10, not 86 %",
               f"{left + right:.1%}", left + right < 0.6)  # fmt: skip
    target, few = real_points(1500), points[:500]
    page.figure("samples", plot.samples(target, few, centers=CENTERS, title="After 2,000 steps"))


@entry("E8.p", "The book's samples over the target")
def book_samples(page: Page) -> None:
    """The ten points that the book prints, as crosses over 1,500 points of the mixture."""
    draw_book_samples(page)
    near, real = (within(points, 2).sum() for points in (BOOK_SAMPLES, real_points(10_000).numpy()))
    page.claim("of the printed samples, within 2 sigma", 0.4, near, round(near, 6) == 0.4)
    page.claim("of the mixture itself", "1 - exp(-2) = 0.865", real, abs(real - 0.8647) < 0.015)


@entry("F8.2", "GAN samples vs target mixture")
def scatter(page: Page) -> None:
    """The figure that E8.p draws: six of ten crosses lie between the clusters or at their rim."""
    draw_book_samples(page)
    between = int((np.abs(BOOK_SAMPLES[:, 0]) < 1).sum())
    page.claim("crosses between the clusters, |x| < 1", 6, between, between == 6)


def draw_book_samples(page: Page) -> None:
    """Draws 1,500 points, each of either cluster by a fair coin, and the book's ten samples."""
    x = smelt.where(smelt.rand(1500) < 0.5, -2.0, 2.0)
    target = smelt.stack([x, smelt.zeros(1500)], 1) + SIGMA * smelt.randn(1500, 2)
    page.figure("gan_scatter", plot.samples(target, BOOK_SAMPLES, centers=CENTERS))
