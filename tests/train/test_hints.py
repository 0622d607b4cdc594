"""What errors say to do: names nearly right, functions of other libraries, what predict takes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError, ArgumentTypeError, MissingName, TraceError

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
Y = (X[:, :1] > 0).astype(np.float32)


@pytest.fixture
def model() -> nn.Module:
    """Answers yes with the probability of the first input's sign."""
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    model[0].load_state_dict({"weight": np.array([[1.0, 0.0]]), "bias": np.zeros(1)})
    return model


def fitted(model: nn.Module, **options: Any) -> train.History:
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    chosen = {"epochs": 1, "validation": (X, Y), "progress": False, **options}
    return train.fit(model, nn.BCELoss(), optimizer, (X, Y), **chosen)


@pytest.mark.parametrize(
    ("metrics", "monitor", "message"),
    [
        (
            [train.F1Score()],
            "f1",
            "'f1_score' of held-out data and 'train_loss'; did you mean 'f1_s",
        ),
        (["f1"], "f1_score", "did you mean 'f1'"),
        (["accuracy"], "val_acuracy", "did you mean 'accuracy'"),
        (["accuracy"], "Accuracy", "did you mean 'accuracy'"),
        (["accuracy"], "accurracy", "did you mean 'accuracy'"),
        ([], "MAE", "; give fit metrics=['mae'] to measure it"),
        ([], "bleu", "there are 'loss' of held-out data and 'train_loss'$"),
    ],
)
@pytest.mark.parametrize("kind", ["stopping", "folder"])
def test_a_figure_that_is_none_is_named_before_the_first_step(
    kind: str, metrics: Any, monitor: str, message: str, model: nn.Module, tmp_path: Any
) -> None:
    options: dict[str, Any] = {"callbacks": [train.EarlyStopping(monitor)]}
    if kind == "folder":
        options = {"run": train.RunFolder(tmp_path, model, monitor=monitor)}
    with pytest.raises(ArgumentError) as caught:
        fitted(model, metrics=metrics, epochs=10**6, **options)
    assert message.rstrip("$") in caught.value.message
    assert not message.endswith("$") or caught.value.message.endswith(message[:-1])
    assert list(tmp_path.iterdir()) == []


def test_a_figure_of_a_metric_with_several_is_found(model: nn.Module) -> None:
    class Both(train.Metric):
        def measure(self, output: Any, target: Any) -> Any:
            return output.sum()

        def compute(self, total: Any) -> Any:
            return {"low": -abs(total), "high": abs(total)}

    stop = train.EarlyStopping("both_high", mode="min")
    fitted(model, metrics=[Both()], callbacks=[stop])
    assert stop.best_epoch == 1


def test_outputs_for_binary_cross_entropy_are_read_as_probabilities(model: nn.Module) -> None:
    """As logits all of them would mean yes."""
    wanted = {
        "accuracy": train.Accuracy(probabilities=True),
        "f1": train.F1Score(probabilities=True),
    }
    expected = train.evaluate(model, (X, Y), wanted)
    assert expected == {"accuracy": 1.0, "f1": 1.0}
    metric = train.Accuracy()
    for loss in (nn.BCELoss(), F.binary_cross_entropy):
        found = train.evaluate(model, (X, Y), {"accuracy": metric, "f1": "f1"}, loss=loss)
        assert {name: found[name] for name in expected} == expected
    assert metric.probabilities is False
    held_out = fitted(model, metrics=["accuracy", "f1"]).epochs[0].held_out
    assert {name: held_out[name] for name in expected} == expected
    as_logits = train.evaluate(model, (X, Y), "accuracy", loss=nn.BCEWithLogitsLoss())
    assert as_logits["accuracy"] < 0.8


def test_functions_of_other_libraries_are_refused(model: nn.Module) -> None:
    for metric in (np.mean, {"mean": np.mean}):
        with pytest.raises(
            ArgumentTypeError, match=r"a function of NumPy.*Metric with rows = True"
        ):
            fitted(model, metrics=metric)
    with pytest.raises(TraceError) as caught:
        train.evaluate(model, (X, Y), {"mine": lambda output, target: np.asarray(output).mean()})
    (note,) = caught.value.__notes__
    assert note.startswith("mine is compiled with the model; for what needs NumPy arrays")
    with smelt.settings(compile=False), pytest.raises(ArgumentTypeError, match="rows = True"):
        train.evaluate(model, (X, Y), {"mine": lambda output, target: float(output.numpy().mean())})


def test_scores_of_scikit_learn_are_refused(model: nn.Module) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    with pytest.raises(ArgumentTypeError, match="accuracy_score is a function of scikit-learn"):
        fitted(model, metrics=[metrics.accuracy_score])


def test_predict_says_what_it_took_for_the_target(model: nn.Module) -> None:
    class Masked(nn.Module):
        def forward(self, x: Any, mask: Any) -> Any:
            return x * mask

    with pytest.raises(TypeError) as caught:
        train.predict(Masked(), (X, Y))
    assert "has_target=False" in caught.value.__notes__[0]
    assert train.predict(Masked(), (X, Y), has_target=False).shape == (64, 2)
    with pytest.raises(TypeError) as caught:
        train.predict(model, (X, Y), has_target=False)
    assert "has_target=True" in caught.value.__notes__[0]


WORDS = np.array(["no", "yes"])[Y[:, 0].astype(int)]
MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "average": ({"averaged": True}, "averaged is True; give averaged=optim.swa_utils"),
    "other-average": (
        {"averaged": optim.swa_utils.AveragedModel(nn.Linear(3, 1))},
        "averaged belongs to another model",
    ),
    "schedule": ({"scheduler": "cosine"}, "the scheduler is 'cosine'; give an instance"),
    "interval": (
        {"scheduler_interval": "batch"},
        "scheduler_interval must be 'step' or 'epoch' or None, got 'batch'",
    ),
    "callback": (
        {"callbacks": [train.EarlyStopping]},
        "callbacks contains the class EarlyStopping",
    ),
    "file": ({"validation": "held_out.csv"}, "data must be read first, got 'held_out.csv'"),
    "keras": ({"validation_data": (X, Y)}, "did you mean 'validation'"),
    "lightning": ({"gradient_clip_val": 1.0}, "did you mean 'max_grad_norm'"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_fits_no_argument_of_fit_is_named(case: str, model: nn.Module) -> None:
    options, message = MISFITS[case]
    with pytest.raises(ArgumentError) as caught:
        fitted(model, **options)
    assert message in caught.value.message


@pytest.mark.parametrize("words", [WORDS, WORDS.tolist(), WORDS.astype(object)])
def test_labels_that_are_text_are_named(words: Any, model: nn.Module) -> None:
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ArgumentTypeError, match=r"text, such as '(yes|no)'.*return_inverse=True"):
        train.fit(model, nn.BCELoss(), optimizer, (X, words), epochs=1, progress=False)


def test_labels_are_a_list_of_numbers_as_well(model: nn.Module) -> None:
    twin, rows = nn.Linear(2, 2), (X, Y[:, 0].astype(int))
    start = {name: x.numpy().copy() for name, x in twin.state_dict().items()}
    found = []
    for labels in (rows[1], rows[1].tolist()):
        twin.load_state_dict(start)
        optimizer = optim.SGD(twin.parameters(), lr=0.1)
        data = (X, labels)
        train.fit(twin, F.cross_entropy, optimizer, data, epochs=1, progress=False, seed=0)
        found.append(twin.weight.numpy().copy())
    assert (found[0] == found[1]).all()
    assert train.evaluate(twin, (X, rows[1].tolist()), ["accuracy"])["accuracy"] > 0


def test_a_model_of_which_nothing_is_trained_is_named(model: nn.Module) -> None:
    with pytest.raises(ArgumentError, match="none of the model's 2 parameters requires a gradient"):
        fitted(model.requires_grad_(False))


def test_verbose_says_whether_progress_is_shown(
    model: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    for verbose, is_shown in ((0, False), (1, True)):
        train.fit(model, nn.BCELoss(), optimizer, (X, Y), epochs=1, verbose=verbose)  # type: ignore[call-arg]
        assert ("epoch 1/1" in capsys.readouterr().out) == is_shown


def test_a_callback_that_cannot_be_called_is_refused_where_it_is_written() -> None:
    with pytest.raises(ArgumentTypeError, match=r"Late\.epoch\(self\).*def epoch\(self, epoch\)"):

        class Late(train.Callback):
            def epoch(self) -> None:  # type: ignore[override]
                """Takes nothing."""

    class Any_(train.Callback):
        def epoch(self, *told: Any) -> None:
            """Takes all."""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train.EarlyStopping(restore_best_weights=True), "did you mean 'restore_best'"),
        (lambda: train.F1Score(num_classes=3), "F1Score: got an unexpected keyword"),
        (lambda: optim.swa_utils.AveragedModel(nn.Linear(1, 1), 0.9), "AveragedModel: too many"),
    ],
)
def test_parts_of_a_training_are_called_by_their_names(call: Any, message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        call()
    assert message in caught.value.message


def test_a_history_is_no_dict(model: nn.Module) -> None:
    history = fitted(model)
    for of in (history, history.epochs[0]):
        with pytest.raises(
            ArgumentTypeError, match=r"is not a dict: write .*held_out\['accuracy'\]"
        ):
            of["val_loss"]  # type: ignore[index]
        with pytest.raises(MissingName, match=r"write .*held_out\['accuracy'\]"):
            of.history  # type: ignore[attr-defined,union-attr]  # noqa: B018
        assert pickle.loads(pickle.dumps(of)) == copy.deepcopy(of) == of
    with pytest.raises(MissingName, match="did you mean 'seconds'"):
        history.secondes  # type: ignore[attr-defined]  # noqa: B018


def test_a_training_is_ended_by_an_exception_not_by_a_flag() -> None:
    class Stop(train.Callback):
        def epoch(self, epoch: train.Epoch) -> None:
            self.training.stop_training = True

    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), 0.1)
    data = smelt.ones(4, 2), smelt.ones(4, 1)
    with pytest.raises(ArgumentError, match=r"raise train.StopTraining\('why'\)"):
        train.fit(model, F.mse_loss, optimizer, data, epochs=2, callbacks=[Stop()], progress=False)
