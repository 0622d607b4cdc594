"""Chapter 8: the quick entries run whole; of the long ones, what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.book
import smelt.nn.functional as F
from smelt import data
from smelt.book.chapter8 import gan, gan_cured, gan_variants, reviews, scaling, sentiment, sum_mod
from smelt.book.chapter8 import sum_mod_cured as cured

QUICK = "E8.g E8.m E8.n E8.p F8.1 F8.2".split()


@pytest.mark.parametrize("number", QUICK)
def test_every_claim_of_a_quick_entry_holds(number):
    page = smelt.book.run(number)
    assert page.holds, [claim for claim in page.claims if not claim.holds]


def test_a_batch_of_the_mixture_is_half_left_and_half_right():
    smelt.manual_seed(0)
    points = gan.real_points(2000).numpy()
    assert np.allclose(points[:1000].mean(0), (-2, 0), atol=0.06)
    assert np.allclose(points[1000:].mean(0), (2, 0), atol=0.06)
    assert np.allclose(points[:1000].std(0), 0.5, atol=0.05)


def test_shares_count_points_about_each_center():
    points = np.array([(-2.0, 0.9), (-2.0, 1.1), (2.9, 0.0), (0.0, 0.0)])
    assert gan.within(points, 2).tolist() == [0.25, 0.25]
    assert gan.within(points, 3).tolist() == [0.5, 0.25]


def test_networks_have_the_sizes_of_the_book():
    sizes = {
        706: gan.make_generator(),
        257: gan.make_discriminator(),
        101_061: sum_mod.MeanTransformer(),
        134_533: sum_mod.ClassTransformer(),
        35_330: sentiment.SentimentTransformer(25, masked=True),
    }
    for size, model in sizes.items():
        assert sum(p.numel() for p in model.parameters()) == size


def test_first_weights_are_those_of_the_book():
    smelt.manual_seed(0)
    model = sum_mod.MeanTransformer()
    sum_mod.widened(model)
    layer = model.blocks[0]
    for weight, inputs in [(layer.self_attn.in_proj_weight, 64), (layer.linear2.weight, 256)]:
        bound = (6 / inputs) ** 0.5
        assert 0.98 * bound < np.abs(weight.numpy()).max() <= bound
    bias = np.abs(layer.linear2.bias.numpy()).max()
    assert 0.8 / 16 < bias <= 1 / 16


def test_the_slope_of_a_linear_discriminator_is_its_weight():
    layer = smelt.nn.Linear(2, 1)
    expected = float((layer.weight**2).sum())
    assert float(gan_cured.slope(layer, smelt.randn(7, 2))) == pytest.approx(expected, rel=1e-5)
    real, fake = smelt.randn(7, 2), smelt.randn(7, 2)
    penalty = float(gan_variants.unevenness(layer, real, fake))
    assert penalty == pytest.approx((expected**0.5 - 1) ** 2, rel=1e-4)


def test_the_minimax_loss_is_flat_where_the_generator_loses():
    caught = smelt.tensor([[-8.0]])  # the logit of a point that the discriminator sees through
    flat = abs(smelt.grad(gan_variants.not_caught)(caught).item())
    steep = abs(smelt.grad(gan_variants.taken_for_real)(caught).item())
    assert flat == pytest.approx(1 / (1 + np.exp(8)), rel=1e-3)
    assert steep == pytest.approx(1 / (1 + np.exp(-8)), rel=1e-3)


def test_a_few_steps_of_every_training_run():
    generator, shares = gan_cured.train(gan_cured.Training(20, decays=True, penalty=0.1), 0)
    assert gan.samples(generator, 5).shape == (5, 2)
    assert len(shares) == gan_cured.LOOKS
    for game in gan_variants.GAMES.values():
        _, unrest = gan_variants.play(game, 5, 16, 1e-3, falls=True)
        assert np.isfinite(unrest)


def test_working_is_a_digit_and_the_sum_so_far_in_turn():
    smelt.manual_seed(0)
    x, y = sum_mod.make_batch(200)
    sequence, sums = cured.with_working(x)
    assert y.tolist() == (x.numpy().sum(1) % 5).tolist() == sums[:, -1].tolist()
    assert sequence[:, ::2].tolist() == x.tolist()
    assert sequence[:, 1::2].tolist() == (10 + np.cumsum(x.numpy(), 1) % 5).tolist()


class Adds(smelt.nn.Module):
    """Adds what was said last to the digit, and one more where `slip` stands."""

    def __init__(self, slip: int = -1):
        self.slip = slip

    def forward(self, sequence):
        before = smelt.roll(sequence - 10, 1, 1)
        before = smelt.where(smelt.arange(sequence.shape[1]) == 0, 0, before)
        said = (before + sequence + (smelt.arange(sequence.shape[1]) == 2 * self.slip)) % 5
        return F.one_hot(said, 5).float()


def test_a_model_goes_on_from_the_sums_that_it_has_said_itself():
    smelt.manual_seed(0)
    x, y = sum_mod.make_batch(50)
    assert cured.solve(Adds(), x).tolist() == y.tolist()
    assert cured.solve(Adds(slip=3), x).tolist() == ((y + 1) % 5).tolist()


def test_the_working_transformer_sees_nothing_that_comes_later():
    model = cured.WorkingTransformer().eval()
    sequence, _ = cured.with_working(sum_mod.make_batch(3)[0])
    whole, part = model(sequence), model(sequence[:, :9])
    assert smelt.allclose(whole[:, :9], part, atol=1e-5)


def test_the_signal_of_labels_is_that_of_a_question_with_an_answer():
    smelt.manual_seed(0)
    model = smelt.nn.Linear(5, 5)

    def ask(answered):
        x = smelt.randint(0, 5, (256,))
        return model(F.one_hot(x, 5).float()), x if answered else smelt.randint(0, 5, (256,))

    assert cured.signal(model, lambda: ask(answered=True)) > 3
    assert cured.signal(model, lambda: ask(answered=False)) < 1.5


def test_attention_within_windows_is_full_attention_of_each_window():
    x = smelt.randn(2 * scaling.WINDOW, scaling.WIDTH)
    apart = [scaling.full(x[: scaling.WINDOW]), scaling.full(x[scaling.WINDOW :])]
    assert smelt.allclose(scaling.windowed(x), smelt.cat(apart), atol=1e-5)


def test_only_a_mask_makes_filling_up_a_sentence_harmless():
    smelt.manual_seed(0)
    vocabulary = data.Vocabulary.build(
        sentiment.POSITIVE + sentiment.NEGATIVE, order="alphabet", specials=("<unk>",)
    )
    for masked in (False, True):
        model = sentiment.SentimentTransformer(len(vocabulary), masked)
        change = sentiment.moved(model, vocabulary)
        assert change < 1e-6 if masked else change > 1e-4


def test_the_value_of_the_game_is_that_of_its_formula():
    real, fake = smelt.randn(50), smelt.randn(50)
    d_real, d_fake = 1 / (1 + np.exp(-real.numpy())), 1 / (1 + np.exp(-fake.numpy()))
    expected = np.log(d_real).mean() + np.log(1 - d_fake).mean()
    assert float(gan.value(real, fake)) == pytest.approx(expected, rel=1e-5)


def test_exponents_are_those_of_powers():
    assert scaling.exponent([n**1.7 for n in scaling.LENGTHS]) == pytest.approx(1.7)


def test_words_become_unknown_and_padding_stays():
    ids = smelt.tensor([[0, 1, 2, 3, 99]])
    assert reviews.forgetful(ids, 1.0).tolist() == [[0, 1, 1, 1, 1]]
    assert reviews.forgetful(ids, 0.0).tolist() == ids.tolist()


@pytest.mark.parametrize("kind", [reviews.BagOfWords, reviews.ReviewTransformer])
def test_padding_changes_no_review(kind):
    model = kind(30).eval()
    short, long = smelt.tensor([[5, 6, 7]]), smelt.tensor([[5, 6, 7, 0, 0]])
    assert F.softmax(model(short), 1).tolist()[0] == pytest.approx(
        F.softmax(model(long), 1).tolist()[0], abs=1e-6
    )
