"""Random numbers: Philox's known answers, distributions, seeds, and the same bits when compiled."""

import copy
import math
import statistics
import subprocess
import sys
import threading

import numpy as np
import pytest

from smelt import compile, dtypes, exact_math, random
from smelt.creation import tensor, zeros
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.ops.random import philox, random_bits
from smelt.random import Generator
from smelt.settings import settings

ALL = 0xFFFFFFFF
KNOWN = [  # Random123's known answers: counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL,) * 4, (ALL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_known_answers(counter, key, words):
    given = [tuple(np.uint64(word) for word in part) for part in (counter, key)]
    assert tuple(int(word) for word in philox(*given)) == words


def test_random_bits_are_philox_words_in_order():
    bits = random_bits(tensor([0, 0]), shape=(4,)).numpy().view(np.uint32)
    assert tuple(bits) == KNOWN[0][2]
    whole = random_bits(tensor([9, 0]), shape=(11,)).numpy()
    later = random_bits(tensor([9, 1]), shape=(7,)).numpy()
    assert (whole[4:] == later).all()


def test_a_draw_moves_the_stream_on_and_a_seed_repeats_it():
    source = Generator(5)
    first = source.bits(6)
    assert source.state.tolist() == [5, 2]
    second = source.bits(2, 3)
    assert source.state.tolist() == [5, 4]
    assert (first.numpy() != second.numpy().ravel()).any()
    source.manual_seed(5)
    assert (first.numpy() == source.bits(6).numpy()).all()


def test_state_can_be_kept_and_restored():
    source = Generator(3)
    kept = source.get_state()
    first = random.rand(5, generator=source).numpy()
    source.set_state(kept)
    assert (first == random.rand(5, generator=source).numpy()).all()


def test_a_generator_can_be_copied():
    source = Generator(3)
    source.bits(5)
    other = copy.deepcopy(source)
    assert other.state is not source.state
    assert (source.bits(5).numpy() == other.bits(5).numpy()).all()
    assert repr(other) == "Generator(state=tensor([3, 4]))"


def test_draws_of_several_threads_are_whole_and_lose_nothing():
    source, drawn = Generator(8), []

    def draw():
        drawn.extend(tuple(source.bits(4).tolist()) for _ in range(200))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.state.tolist() == [8, 800]
    in_order = Generator(8).bits(800, 4).tolist()
    assert set(drawn) == {tuple(block) for block in in_order}


def test_the_default_generator():
    state = random.manual_seed(11).state
    first = random.randn(4).numpy()
    assert random.manual_seed(11).state is state
    assert random.initial_seed() == 11
    assert (first == random.randn(4).numpy()).all()
    kept = random.get_rng_state()
    again = random.rand(3).numpy()
    random.set_rng_state(kept)
    assert (again == random.rand(3).numpy()).all()


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1, -(2**63)])
def test_any_integer_is_a_seed(seed):
    assert np.isfinite(random.rand(3, generator=Generator(seed)).numpy()).all()


def test_streams_of_neighboring_seeds_are_unrelated():
    rows = np.array([random.rand(20000, generator=Generator(seed)).numpy() for seed in range(6)])
    correlation = np.corrcoef(rows) - np.eye(6)
    assert np.abs(correlation).max() < 5 / math.sqrt(20000)


def kolmogorov(sample, distribution):
    """The largest distance of the sample's distribution function from the given one x sqrt n."""
    ordered = np.sort(sample)
    expected = distribution(ordered)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    return distance * math.sqrt(len(ordered))


LIMIT = 1.95  # exceeded by one sample in a thousand
erf = np.frompyfunc(math.erf, 1, 1)


def phi(x):
    """The distribution function of the standard normal."""
    return 0.5 + 0.5 * erf(x * math.sqrt(0.5)).astype(float)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64])
def test_uniform(dtype):
    sample = random.rand(200_000, dtype=dtype, generator=Generator(2)).numpy()
    assert sample.dtype == dtype.storage
    assert sample.min() >= 0
    assert sample.max() < 1
    assert kolmogorov(sample, lambda x: x) < LIMIT


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64])
def test_normal_bulk_and_tails(dtype):
    sample = random.randn(1_000_000, dtype=dtype, generator=Generator(4)).numpy()
    assert kolmogorov(sample, phi) < LIMIT
    assert abs(sample.mean()) < 4e-3
    assert abs(sample.std() - 1) < 4e-3
    for bound in (2, 3, 4):
        expected = len(sample) * math.erfc(bound / math.sqrt(2))
        assert abs((np.abs(sample) > bound).sum() - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("float64", 4e-15)])
def test_normal_quantile(dtype, close):
    tails = np.concatenate([np.geomspace(1e-9, 0.07, 400), np.linspace(0.07, 0.5, 400)])
    tails = tails.astype(dtype)
    normal = statistics.NormalDist()
    expected = np.array([-normal.inv_cdf(float(tail)) for tail in tails])
    np.testing.assert_allclose(
        exact_math.normal_quantile(tensor(tails)).numpy(), expected, rtol=close, atol=close
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounded_log_is_within_3_ulp(dtype):
    x = np.exp(np.linspace(-80, 80, 20001)).astype(dtype)
    x = np.concatenate([x, np.linspace(0.5, 1.5, 20001).astype(dtype)])
    expected = np.log(x.astype(np.longdouble))
    error = np.abs(exact_math.log(tensor(x)).numpy() - expected)
    assert (error <= 3 * np.spacing(np.abs(expected).astype(dtype))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponential(dtype):
    sample = random.exponential(2.5, 200_000, dtype, Generator(6)).numpy()
    assert sample.min() >= 0
    assert kolmogorov(sample, lambda x: -np.expm1(-2.5 * x)) < LIMIT


def test_bernoulli():
    p = tensor(np.array([0.0, 0.25, 1.0], np.float32))
    sample = random.bernoulli(p, (40_000, 3), Generator(8)).numpy()
    assert abs(sample[:, 1].mean() - 0.25) < 0.011
    assert not sample[:, 0].any()
    assert sample[:, 2].all()


@pytest.mark.parametrize(("low", "high"), [(0, 7), (-3, 4), (5, 5 + 3 * 2**40)])
def test_randint_is_even(low, high):
    sample = random.randint(low, high, (70_000,), generator=Generator(9)).numpy()
    assert sample.min() >= low
    assert sample.max() < high
    counts = np.histogram((sample - low) / (high - low), 7, (0, 1))[0]
    assert (
        (counts - 10_000) ** 2 / 10_000
    ).sum() < 22.5  # chi-squared, 6 degrees, one in a thousand


def test_randint_with_one_bound_and_its_errors():
    assert random.randint(1, size=4).tolist() == [0, 0, 0, 0]
    assert random.randint(10, (2, 3)).shape == (2, 3)  # PyTorch's order
    assert random.randint(3, size=(2, 2), dtype="int32").dtype is dtypes.int32
    with pytest.raises(ArgumentError, match="empty"):
        random.randint(5, 5)
    with pytest.raises(ArgumentError, match="too wide"):
        random.randint(-(2**62), 2**62)
    with pytest.raises(DTypeError, match="does not fit int32"):
        random.randint(0, 2**31 + 1, (3,), dtype="int32")
    assert random.randint(0, 2**31, (3,), dtype="int32").numpy().min() >= 0


def test_randperm_holds_each_number_once_and_is_even():
    assert sorted(random.randperm(100, Generator(1)).tolist()) == list(range(100))
    source = Generator(2)
    first = [random.randperm(4, source).tolist()[0] for _ in range(2000)]
    assert np.abs(np.bincount(first, minlength=4) - 500).max() < 100
    assert random.permutation(tensor([[1.0], [2.0]]), source).shape == (2, 1)
    assert random.randperm(0).shape == (0,)


@pytest.mark.parametrize("n", [1, 2, 1000, 70_001])
def test_randperm_is_the_order_of_keys_of_64_bits(n):
    high, low = (words.numpy().astype(np.int64) for words in Generator(3).words((n,)))
    wanted = np.argsort(high << 32 | low & 0xFFFFFFFF, kind="stable")
    np.testing.assert_array_equal(random.randperm(n, Generator(3)).numpy(), wanted)


def test_what_is_equal_in_its_upper_half_is_ordered_by_the_lower_one():
    numbers = np.random.default_rng(0).permutation(5000) + (np.arange(5000) << 34)
    numbers[7::50] = numbers[8::50] + np.random.default_rng(1).integers(-3, 4, 100)
    wanted = np.argsort(numbers, kind="stable")
    np.testing.assert_array_equal(tensor(numbers).argsort().numpy(), wanted)


@pytest.mark.parametrize("rate", [0.0, 0.3, 4.0, 30.0])
def test_poisson(rate):
    sample = random.poisson(rate, (8000,), generator=Generator(3)).numpy()
    assert abs(sample.mean() - rate) <= 5 * math.sqrt(rate / 8000)
    assert abs(sample.var() - rate) <= 0.1 * rate
    zero = math.exp(-rate)
    assert abs((sample == 0).mean() - zero) <= 5 * math.sqrt(zero * (1 - zero) / 8000)


def test_poisson_beyond_its_limit():
    with pytest.raises(ArgumentError, match="max_rate"):
        random.poisson(31.0)
    sample = random.poisson(200.0, (500,), max_rate=200.0).numpy()
    assert abs(sample.mean() - 200) < 5 * math.sqrt(200 / 500)


def test_multinomial():
    weights = tensor(np.array([[1.0, 2.0, 5.0, 0.0], [0.0, 0.0, 1.0, 0.0]]))
    drawn = random.multinomial(weights, 30_000, replacement=True, generator=Generator(4)).numpy()
    shares = np.bincount(drawn[0], minlength=4) / 30_000
    np.testing.assert_allclose(shares, [0.125, 0.25, 0.625, 0], atol=0.015)
    assert (drawn[1] == 2).all()
    few = [random.multinomial(weights[0], 2, generator=Generator(s)).tolist() for s in range(300)]
    assert all(a != b and 3 not in (a, b) for a, b in few)
    assert abs(np.mean([a == 2 for a, _ in few]) - 0.625) < 0.15
    with pytest.raises(ArgumentError, match="without replacement"):
        random.multinomial(weights[0], 5)


def test_parameters_broadcast():
    mean = tensor(np.array([[0.0], [100.0]]))
    sample = random.normal(mean, tensor(np.ones(5)), dtype="float64")
    assert sample.shape == (2, 5)
    assert (sample.numpy()[1] > 50).all()
    inside = random.uniform(2.0, 3.0, (100,)).numpy()
    assert inside.min() >= 2
    assert inside.max() < 3
    assert random.rand(2, requires_grad=True).requires_grad
    assert random.randn((2, 1), requires_grad=True).requires_grad
    assert random.rand_like(mean).dtype is random.randn_like(mean).dtype is dtypes.float64


DRAWS = {
    "bits": lambda source: source.bits(5, 3),
    "rand": lambda source: random.rand(37, generator=source),
    "rand64": lambda source: random.rand(37, dtype="float64", generator=source),
    "randn": lambda source: random.randn(301, generator=source),
    "randn64": lambda source: random.randn(301, dtype="float64", generator=source),
    "exponential": lambda source: random.exponential(1.5, (301,), generator=source),
    "exponential64": lambda source: random.exponential(1.5, (301,), "float64", source),
    "bernoulli": lambda source: random.bernoulli(zeros(41) + 0.3, generator=source),
    "randint": lambda source: random.randint(-3, 1000, (41,), generator=source),
    "randint wide": lambda source: random.randint(0, 2**50, (41,), generator=source),
    "randperm": lambda source: random.randperm(23, source),
    "poisson": lambda source: random.poisson(3.0, (9,), generator=source),
}


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_draws_have_the_same_bits(name):
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    draw = DRAWS[name]
    eager, compiled = Generator(21), Generator(21)
    step = compiler.compile(lambda: draw(compiled))
    for _ in range(2):  # the second call goes on where the first ended
        with settings(compile=False):
            expected = draw(eager).numpy()
        assert (step().numpy() == expected).all()
    assert compiled.state.tolist() == eager.state.tolist()


def test_the_first_draw_of_a_program_may_be_in_a_compiled_step():
    code = "import smelt; f = smelt.compile(lambda: smelt.rand(())); print(float(f()), float(f()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    eager = Generator(0)
    expected = [random.rand(generator=eager).item() for _ in range(2)]
    assert [float(one) for one in ran.stdout.split()] == expected


class Borrowed(Generator):
    """A generator on a state of somebody else."""

    def __init__(self, state):
        super().__init__()
        self.state = state


@pytest.mark.parametrize("name", ["rand64", "randn small", "exponential small", "randint"])
def test_interpreted_draws_have_the_same_bits(name):
    engines = pytest.importorskip("tests.compiler.engines")
    draws = DRAWS | {
        "randn small": lambda source: random.randn(9, generator=source),
        "exponential small": lambda source: random.exponential(1.5, (9,), "float64", source),
    }
    case = engines.Case(
        lambda states, _: [draws[name](Borrowed(states[0]))], [Generator(21).state], []
    )
    eager, found = case.eager(), case.interpreted(case.stages.program)
    assert (found.outputs[0] == eager.outputs[0]).all()
    assert (found.states[0] == eager.states[0]).all()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: random.uniform(3.0, 1.0, (2,)), "low must be at most high, got 3.0 and 1.0"),
        (lambda: random.uniform(tensor([0.0, 3.0]), 1.0), "low must be at most high"),
        (lambda: random.bernoulli(1.5, (2,)), r"outside \[0, 1\]"),
        (lambda: random.bernoulli(tensor([0.5, -0.5])), r"outside \[0, 1\]"),
        (lambda: random.normal(0.0, -1.0, (2,)), "deviation is negative, got -1.0"),
        (lambda: random.exponential(0.0, (2,)), "not positive"),
        (lambda: random.multinomial(tensor([1.0, -1.0]), 1), "weight is negative"),
        (lambda: random.multinomial(tensor([1.0, math.inf]), 1), "infinite"),
        (lambda: random.multinomial(tensor([1.0, math.nan]), 1), "nan"),
        (lambda: random.multinomial(tensor([0.0, 0.0]), 1), "all weights of a row are 0"),
        (lambda: random.multinomial(tensor([[1.0], [0.0]]), 3, True), "all weights of a row are 0"),
        (lambda: random.multinomial(tensor([0.0, 1.0]), 2), "fewer than 2 weights"),
        (lambda: compile(lambda p: random.bernoulli(p))(tensor([0.5, 1.5])), r"outside \[0, 1\]"),
    ],
)
def test_parameters_of_no_distribution_are_refused(draw, message):
    before = random.get_rng_state().tolist()
    with pytest.raises(ArgumentError, match=message):
        draw()
    assert random.get_rng_state().tolist() == before


@pytest.mark.parametrize(
    "draw", [lambda: random.rand(-3), lambda: random.randn(2, -1), lambda: random.randperm(-2)]
)
def test_negative_extents_are_refused(draw):
    with pytest.raises(ShapeError, match="must not be negative"):
        draw()


def test_parameters_may_be_traced():
    low = compile(lambda low: random.uniform(low, low + 1.0))(tensor([0.0, 5.0]))
    assert ((low >= tensor([0.0, 5.0])) & (low < tensor([1.0, 6.0]))).all()
