"""Weights that are distributions, and the pieces of a VAE."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references.running import ENGINES, on


def normal(*shape: int, seed: int = 0) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(seed).normal(size=shape))


def test_divergence_of_normals_is_the_integral() -> None:
    mean, log_variance, prior_mean, prior_log_variance = 0.7, -0.9, -0.2, 0.4
    x = np.linspace(-30, 30, 600_001)

    def density(m, v):
        return np.exp(-((x - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)

    q, p = density(mean, np.exp(log_variance)), density(prior_mean, np.exp(prior_log_variance))
    inside = (q > 0) & (p > 0)
    expected = (q[inside] * np.log(q[inside] / p[inside])).sum() * (x[1] - x[0])
    given = (smelt.tensor(number, dtype="float64") for number in (mean, log_variance))
    found = F.kl_divergence_normal(*given, prior_mean, prior_log_variance)
    assert found.item() == pytest.approx(expected, rel=1e-8)


def test_divergence_from_itself_is_zero_and_smooth() -> None:
    m, v = normal(3), normal(3, seed=1)
    np.testing.assert_allclose(F.kl_divergence_normal(m, v, m, v).numpy(), 0, atol=1e-15)
    assert smelt.gradcheck(F.kl_divergence_normal, m, v, order=2)


def test_reparameterised_draws_have_the_distribution_and_its_gradient() -> None:
    smelt.manual_seed(0)
    mean = smelt.full((20_000,), 2.0).requires_grad_()
    log_variance = smelt.full((20_000,), 2 * np.log(0.5)).float().requires_grad_()
    z = F.reparameterize(mean, log_variance)
    assert z.mean().item() == pytest.approx(2.0, abs=0.02)
    assert z.std().item() == pytest.approx(0.5, abs=0.02)
    (z**2).mean().backward()  # E z^2 = m^2 + v: derivatives 2 m and v
    assert mean.grad.sum().item() == pytest.approx(4.0, abs=0.05)
    assert log_variance.grad.sum().item() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_layer_draws_in_training_and_rests_in_evaluation(engine: str) -> None:
    smelt.manual_seed(0)
    layer, x = nn.VariationalLinear(3, 2, rho=0.0), smelt.ones(4, 3)
    run = on(engine, lambda x: layer(x))
    assert (run(x).numpy() != run(x).numpy()).all()
    layer.eval()
    by_means = F.linear(x, layer.weight_mu, layer.bias_mu).detach().numpy()
    np.testing.assert_allclose(run(x).numpy(), by_means, rtol=1e-6)
    layer.always_draw = True
    assert (run(x).numpy() != run(x).numpy()).all()


def test_draws_have_the_layers_spread() -> None:
    smelt.manual_seed(0)
    layer = nn.VariationalLinear(1, 5000, bias=False, rho=-1.0)
    spread = (layer(smelt.ones(1, 1)) - layer.weight_mu.T).detach().numpy().std()
    assert spread == pytest.approx(np.log1p(np.exp(-1.0)), rel=0.05)


def test_divergence_of_a_layer_is_the_formula() -> None:
    smelt.manual_seed(0)
    layer = nn.VariationalLinear(3, 2, prior_std=0.5, rho=-1.0, dtype="float64")
    sigma = np.log1p(np.exp(-1.0))
    means = np.concatenate([layer.weight_mu.numpy().ravel(), layer.bias_mu.numpy()])
    expected = (np.log(0.5 / sigma) + (sigma**2 + means**2) / (2 * 0.25) - 0.5).sum()
    assert layer.kl_divergence().item() == pytest.approx(expected)
    model = nn.Sequential(layer, nn.ReLU(), nn.VariationalLinear(2, 1, bias=False))
    total = layer.kl_divergence() + model[2].kl_divergence()
    assert nn.kl_divergence(model).item() == pytest.approx(total.item())


def test_a_variational_convolution_is_a_convolution_of_its_means() -> None:
    layer = nn.VariationalConv2d(4, 6, 3, padding=1, groups=2, dtype="float64").eval()
    x = normal(2, 4, 5, 5)
    expected = F.conv2d(x, layer.weight_mu, layer.bias_mu, padding=1, groups=2)
    np.testing.assert_array_equal(layer(x).detach().numpy(), expected.detach().numpy())
    assert nn.kl_divergence(layer).item() > 0


def test_a_bayesian_fit_finds_the_noise_of_its_weight() -> None:
    """Conjugate: y = w x + noise of known variance has a normal posterior in closed form."""
    smelt.manual_seed(0)
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 1)).astype(np.float32)
    y = (1.5 * x + 0.5 * random.normal(size=(40, 1))).astype(np.float32)
    precision = 1.0 + (x**2).sum() / 0.25
    layer = nn.VariationalLinear(1, 1, bias=False, rho=-2.0)
    optimizer = smelt.optim.Adam(layer.parameters(), lr=2e-2)
    inputs, targets = smelt.tensor(x), smelt.tensor(y)

    @smelt.compile
    def step():
        error = ((layer(inputs) - targets) ** 2).sum() / (2 * 0.25)
        loss = error + nn.kl_divergence(layer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    means, deviations = [], []
    for turn in range(1500):
        step()
        if turn >= 500:
            means.append(layer.weight_mu.item())
            deviations.append(F.softplus(layer.weight_rho).item())
    assert np.mean(means) == pytest.approx((x * y).sum() / 0.25 / precision, abs=0.01)
    assert np.mean(deviations) == pytest.approx(precision**-0.5, rel=0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.VariationalLinear(2, -1), errors.ArgumentError, "out_features"),
        (lambda: nn.VariationalLinear(2, 1, prior_std=0.0), errors.ArgumentError, "prior_std"),
        (lambda: nn.VariationalConv2d(3, 4, 3, groups=2), errors.ArgumentError, "groups=2"),
        (lambda: nn.kl_divergence(nn.Linear(1, 1)), errors.ArgumentError, "no variational layer"),
        (
            lambda: F.reparameterize(smelt.ones(2), smelt.ones(3)),
            errors.ShapeError,
            "reparameterize",
        ),
        (
            lambda: F.kl_divergence_normal(smelt.ones(2), smelt.ones(3)),
            errors.ShapeError,
            "must have one shape",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
