"""NeuralNetClassifier and NeuralNetRegressor."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError, ArgumentTypeError, NumericsError, ShapeError, StateError
from smelt.sklearn import NeuralNetClassifier, NeuralNetRegressor
from tests.sklearn.networks import Perceptron, two_layers

X, Y = load_iris(return_X_y=True)
X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
TWO = X[:100], Y[:100]
NUMBERS = make_regression(120, 3, noise=0.1, random_state=0)
NUMBERS = NUMBERS[0].astype(np.float32), (NUMBERS[1] / NUMBERS[1].std()).astype(np.float32)


def classifier(module: Any = two_layers, **options: Any) -> NeuralNetClassifier:
    return NeuralNetClassifier(module, **{"random_state": 0, "batch_size": 50, **options})


def regressor(module: Any = two_layers, **options: Any) -> NeuralNetRegressor:
    return NeuralNetRegressor(module, **{"random_state": 0, "batch_size": 40, **options})


# --- what is trained ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (two_layers, {"module__width": 32}),
        (Perceptron, {"module__width": 32}),
        (Perceptron(width=32), {}),
        (lambda: nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.Linear(32, 3)), {}),
    ],
)
def test_it_learns_with_a_module_a_class_or_a_function(module: Any, options: Any) -> None:
    net = classifier(module, max_epochs=30, **options).fit(X, Y)
    assert net.score(X, Y) > 0.95
    probabilities = net.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(net.classes_[probabilities.argmax(1)], net.predict(X))
    assert [epoch.number for epoch in net.history_.epochs] == list(range(1, 31))


def test_it_does_what_fit_does() -> None:
    net = classifier(max_epochs=3).fit(X, Y)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    smelt.manual_seed(seed)
    model = two_layers(4, 3)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    history = train.fit(
        model, nn.CrossEntropyLoss(), optimizer, (X, Y), batch_size=50, epochs=3, progress=False
    )
    losses = [epoch.loss for epoch in history.epochs]
    assert [epoch.loss for epoch in net.history_.epochs] == pytest.approx(losses, rel=1e-5)
    weights = (net.module_[0].weight.numpy(), model[0].weight.numpy())
    np.testing.assert_allclose(*weights, rtol=1e-4, atol=1e-6)


def test_a_module_that_is_given_stays_as_it_is() -> None:
    module = Perceptron()
    before = module.hidden.weight.tolist()
    net = classifier(module, max_epochs=2)
    first = net.fit(X, Y).predict_proba(X)
    assert module.hidden.weight.tolist() == before
    np.testing.assert_array_equal(net.fit(X, Y).predict_proba(X), first)
    with pytest.raises(ArgumentError, match="which takes no module__width"):
        classifier(module, module__width=3).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"module__widht": 3}, "module__widht: two_layers has no argument 'widht'; did you mean"),
        ({"learning_rate": 0.1}, "has no argument 'learning_rate'; did you mean 'lr'"),
        ({"epochs": 3}, "has no argument 'epochs'; did you mean 'max_epochs'"),
        ({"optimizer__momentm": 0.9}, "did you mean 'momentum'"),
    ],
)
def test_misspelled_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        classifier(two_layers, optimizer=optim.SGD, **options).fit(X, Y)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("criterion", "module"),
    [
        (nn.BCEWithLogitsLoss, two_layers),
        (F.binary_cross_entropy_with_logits, lambda: nn.Linear(4, 1)),
        (nn.BCEWithLogitsLoss, lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))),
        (nn.BCELoss, lambda: nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())),
        (nn.NLLLoss, lambda: nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1))),
        (F.cross_entropy, two_layers),
    ],
)
def test_criteria_say_what_outputs_mean(criterion: Any, module: Any) -> None:
    options = {"criterion": criterion, "max_epochs": 20, "lr": 0.1, "train_split": 0.2}
    net = classifier(module, **options).fit(TWO[0], TWO[1], sample_weight=np.ones(100))
    assert net.predict_proba(TWO[0]).shape == (100, 2)
    np.testing.assert_allclose(net.predict_proba(TWO[0]).sum(1), 1, rtol=1e-5)
    assert net.score(*TWO) == 1.0
    assert net.history_.epochs[-1].held_out["accuracy"] == 1.0


def test_outputs_mean_what_one_says() -> None:
    net = classifier(predict_nonlinearity=None, max_epochs=1).fit(X, Y)
    logits = net.predict_proba(X)
    net.set_params(predict_nonlinearity="auto")
    expected = F.softmax(smelt.tensor(logits), 1).numpy()
    np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-6)
    net.set_params(predict_nonlinearity=F.sigmoid)
    expected = F.sigmoid(smelt.tensor(logits)).numpy()
    np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-6)
    with pytest.raises(ArgumentError, match="predict_nonlinearity='soft' must be 'auto', None"):
        net.set_params(predict_nonlinearity="soft").predict(X)
    with pytest.raises(ArgumentError, match="is for two classes, and y has 3"):
        classifier(criterion=nn.BCEWithLogitsLoss).fit(X, Y)


@pytest.mark.parametrize("shape", [(120,), (120, 1), (120, 2)])
def test_a_regressor_predicts_what_has_the_shape_of_its_targets(shape: tuple[int, ...]) -> None:
    x, y = NUMBERS
    target = y if len(shape) == 1 else np.stack([y] * shape[1], 1)
    net = regressor(lr=0.05, max_epochs=60, criterion=nn.SmoothL1Loss).fit(x, target)
    assert net.predict(x).shape == shape
    assert net.score(x, target) > 0.98


def test_images_and_tokens_go_to_the_module_as_they_are() -> None:
    digits, labels = load_digits(return_X_y=True)
    images = digits.reshape(-1, 1, 8, 8) / 16

    def cnn(n_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, n_outputs))

    net = classifier(cnn, max_epochs=3, train_split=0.2).fit(images[:400], labels[:400])
    assert net.predict(images[:7]).shape == (7,)
    tokens = np.random.default_rng(0).integers(0, 9, (60, 5))

    def words(n_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(40, n_outputs))

    net = classifier(words, dtype=None, max_epochs=30, lr=0.05).fit(tokens, tokens[:, 0] > 4)
    assert net.score(tokens, tokens[:, 0] > 4) == 1.0


# --- arguments ------------------------------------------------------------------------------------


def test_arguments_of_parts_are_parameters() -> None:
    net = classifier(
        Perceptron, module__width=5, criterion__label_smoothing=0.1, optimizer__weight_decay=0.1
    )
    assert net.get_params()["module__width"] == 5
    other = clone(net).set_params(module__width=6, optimizer__betas=(0.8, 0.9), max_epochs=1)
    assert (net.get_params()["module__width"], other.get_params()["module__width"]) == (5, 6)
    other.fit(X, Y)
    assert other.module_.hidden.weight.shape == (6, 4)
    assert other.criterion_.label_smoothing == 0.1
    betas = [beta.item() for beta in other.optimizer_.param_groups[0]["betas"]]
    assert betas == [0.8, 0.9]
    assert "module__width=6" in repr(other)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"modul__width": 3}, ArgumentTypeError, "no argument 'modul__width'"),
        ({"width": 3}, ArgumentTypeError, "arguments of its parts are module__..., criterion__"),
        ({"module__wide": 3}, TypeError, "wide"),
        ({"optimizer": "adam"}, ArgumentTypeError, "optimizer='adam' must be a class, or"),
        ({"optimizer": None}, ArgumentTypeError, "optimizer=None"),
        ({"criterion": "mse"}, ArgumentTypeError, "criterion='mse'"),
        ({"module": dict}, ArgumentTypeError, "made a dict; it must be a Module, or a class"),
        ({"max_epochs": -1}, ArgumentError, "max_epochs=-1 must be a whole number, at least 0"),
        ({"batch_size": 0.5}, ArgumentError, "batch_size=0.5 must be a whole number, at least 1"),
        ({"train_split": 1.5}, ArgumentError, "train_split=1.5 must be None, a fraction between"),
        ({"scheduler_interval": "day"}, ArgumentError, "must be 'step' or 'epoch'"),
        ({"lr": -1.0}, ArgumentError, "lr must not be negative"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        NeuralNetClassifier(**{"module": two_layers, **options}).fit(X, Y)


def test_a_parameter_that_there_is_not_cannot_be_set() -> None:
    with pytest.raises(ArgumentError, match="has no parameter 'width'; there are"):
        classifier().set_params(width=3)


# --- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_count_as_repeated_samples(make: Any) -> None:
    x, y = (X, Y) if make is classifier else NUMBERS
    repeats = np.random.default_rng(0).integers(0, 3, len(x))
    options = {"batch_size": 1000, "max_epochs": 20, "dtype": "float64"}
    found = make(**options).fit(x, y, sample_weight=repeats.astype(float))
    expected = make(**options).fit(np.repeat(x, repeats, 0), np.repeat(y, repeats))
    name = "predict_proba" if make is classifier else "predict"
    np.testing.assert_allclose(getattr(found, name)(x), getattr(expected, name)(x), rtol=1e-9)


def test_weights_need_a_criterion_that_gives_each_loss() -> None:
    def mean_only(output: Any, target: Any) -> Any:
        return F.cross_entropy(output, target)

    classifier(criterion=mean_only, max_epochs=1).fit(X, Y)
    with pytest.raises(ArgumentError, match="sample_weight needs a criterion with reduction="):
        classifier(criterion=mean_only).fit(X, Y, sample_weight=np.ones(150))


@pytest.mark.parametrize("split", [0.2, KFold(5, shuffle=True, random_state=0), (X[:30], Y[:30])])
def test_held_out_samples_are_measured(split: Any) -> None:
    net = classifier(train_split=split, max_epochs=20).fit(X, Y)
    last = net.history_.epochs[-1].held_out
    assert last["accuracy"] > 0.8
    assert last["loss"] < 0.5
    if isinstance(split, tuple):
        assert last["accuracy"] == net.score(*split)


def test_early_stopping_brings_the_best_weights_back() -> None:
    stop = train.EarlyStopping("loss", patience=2)
    net = classifier(train_split=0.3, callbacks=[stop], max_epochs=500, lr=0.5).fit(X, Y)
    assert net.history_.stopped.startswith("held-out loss has not improved for")
    assert stop.best is None  # the estimator has trained with a copy
    assert net.callbacks_[0].best == min(e.held_out["loss"] for e in net.history_.epochs)
    x, y = X[:30], Y[:30]
    again = classifier(train_split=(x, y), callbacks=[stop], max_epochs=500, lr=0.5).fit(X, Y)
    loss = F.cross_entropy(again.module_.eval()(smelt.tensor(x)), smelt.tensor(y)).item()
    assert loss == pytest.approx(again.callbacks_[0].best, rel=1e-5)
    pickle.dumps(again)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_schedules_go_on_with_steps_or_epochs(interval: str) -> None:
    net = classifier(
        scheduler=optim.lr_scheduler.StepLR, scheduler__step_size=2, scheduler__gamma=0.5,
        scheduler_interval=interval, max_epochs=2, lr=1.0,
    ).fit(X, Y)  # fmt: skip
    rate = net.optimizer_.param_groups[0]["lr"].item()
    assert rate == (0.5**3 if interval == "step" else 0.5)


# --- going on -------------------------------------------------------------------------------------


def test_partial_fit_is_one_pass() -> None:
    net = classifier(Perceptron, module__p=0.5)
    with pytest.raises(ArgumentError, match="classes must be passed on the first call"):
        net.partial_fit(X, Y)
    with pytest.raises(ArgumentError, match=r"classes not in.*\[2\]"):
        net.partial_fit(X, Y, classes=[0, 1])
    for _ in range(4):
        net.partial_fit(X, Y, classes=[0, 1, 2])
    whole = classifier(Perceptron, module__p=0.5, max_epochs=4).fit(X, Y)
    np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))
    assert [epoch.number for epoch in net.history_.epochs] == [1, 2, 3, 4]
    with pytest.raises(ArgumentError, match="is not the same as on last call"):
        net.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ShapeError, match="the targets have the shape"):
        regressor().partial_fit(*NUMBERS).partial_fit(NUMBERS[0], np.ones((120, 2)))


def test_warm_start_goes_on() -> None:
    twice = classifier(warm_start=True, max_epochs=2).fit(X, Y).fit(X, Y)
    whole = classifier(max_epochs=4).fit(X, Y)
    np.testing.assert_array_equal(twice.predict_proba(X), whole.predict_proba(X))
    assert twice.n_iter_ == 4


def test_a_pickle_predicts_and_goes_on_with_the_same_bits() -> None:
    net = classifier(Perceptron, module__p=0.5, max_epochs=2).fit(X, Y)
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))
    net.partial_fit(X, Y)
    copy.partial_fit(X, Y)
    np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_go_to_a_file_and_come_back(make: Any, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    x, y = (X, np.array(["a", "b", "c"])[Y]) if make is classifier else NUMBERS
    net = make(max_epochs=2).fit(x, y)
    net.save_params(tmp_path / "net.safetensors")
    other = make().load_params(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(other.predict(x), net.predict(x))
    with pytest.raises(StateError, match="weight"):
        make(module__width=3).load_params(tmp_path / "net.safetensors")
    with pytest.raises(NotFittedError):
        make().save_params(tmp_path / "none.safetensors")


# --- random numbers and errors --------------------------------------------------------------------


def test_it_draws_from_its_own_random_state_only() -> None:
    smelt.manual_seed(3)
    before = smelt.get_rng_state().tolist()
    first, second = (classifier(Perceptron, module__p=0.5).fit(X, Y) for _ in range(2))
    other = classifier(random_state=1).fit(X, Y)
    assert smelt.get_rng_state().tolist() == before
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert (first.predict_proba(X) != other.predict_proba(X)).any()


def test_fits_in_threads_are_what_they_are_alone() -> None:
    nets = [classifier(Perceptron, module__p=0.5, random_state=n, max_epochs=3) for n in range(4)]
    alone = [clone(net).fit(X, Y).predict_proba(X) for net in nets]
    threads = [threading.Thread(target=net.fit, args=(X, Y)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for net, expected in zip(nets, alone, strict=True):
        np.testing.assert_array_equal(net.predict_proba(X), expected)


def test_a_nan_is_an_error_and_leaves_no_trace() -> None:
    good = classifier(lr=0.1, max_epochs=2).fit(X, Y).predict_proba(X)
    with pytest.raises(NumericsError, match="the loss is"):
        regressor(lr=1e38, optimizer=optim.SGD, max_epochs=5).fit(*NUMBERS)
    np.testing.assert_array_equal(classifier(lr=0.1, max_epochs=2).fit(X, Y).predict_proba(X), good)


def test_progress_is_shown_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    classifier(max_epochs=1).fit(X, Y)
    assert not capsys.readouterr().out
    classifier(max_epochs=1, verbose=1).fit(X, Y)
    assert "epoch 1/1  loss" in capsys.readouterr().out


@pytest.mark.parametrize("make", [classifier, regressor])
def test_what_is_not_fitted_cannot_predict(make: Any) -> None:
    with pytest.raises(NotFittedError):
        make().predict(X)
    with pytest.raises(NotFittedError):
        make().score(X, Y)
