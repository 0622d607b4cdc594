"""What `fit` trains on, how steps are made of batches, and what it refuses."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import DataLoader, IterableDataset, Table, TensorDataset
from smelt.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    FileError,
    NumericsError,
    ShapeError,
    StateError,
)
from smelt.optim.swa_utils import AveragedModel

X = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
Y = (X @ np.array([[2], [-1]], np.float32) + 1).astype(np.float32)


def trained(data: Any, model: nn.Module | None = None, **options: Any) -> nn.Module:
    """Returns a model after two passes over the data."""
    smelt.manual_seed(0)
    model = model or nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = options.pop("loss", F.mse_loss)
    chosen = {"epochs": 2, "progress": False, **options}
    if not isinstance(data, DataLoader):
        chosen = {"batch_size": 8, "shuffle": False, **chosen}
    train.fit(model, loss, optimizer, data, **chosen)
    return model


def numbers(model: nn.Module) -> np.ndarray:
    return np.concatenate([np.ravel(p.numpy()) for p in model.parameters()])


@pytest.mark.parametrize(
    "data",
    [
        (smelt.tensor(X), smelt.tensor(Y)),
        TensorDataset(X, Y),
        [(X[n], Y[n]) for n in range(24)],
        DataLoader(TensorDataset(X, Y), batch_size=8),
        DataLoader([(X[n], Y[n]) for n in range(24)], batch_size=8, num_workers=2),
    ],
    ids=["tensors", "dataset", "list of samples", "loader", "loader with workers"],
)
def test_all_kinds_of_data_train_alike(data: Any) -> None:
    np.testing.assert_allclose(numbers(trained(data)), numbers(trained((X, Y))), rtol=1e-6)


def test_windows_are_not_written_out() -> None:
    """Each native call reads them where the series lies: it does not copy all of them first."""
    every = smelt.from_numpy(np.lib.stride_tricks.sliding_window_view(np.zeros(60_000), 1001))
    model = nn.Linear(1000, 1, dtype=smelt.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    tracemalloc.start()
    try:
        train.fit(
            model, F.mse_loss, optimizer, (every[:, :-1], every[:, -1:]), steps=20, progress=False
        )
        assert tracemalloc.get_traced_memory()[1] < 2**26  # of 470 MB
    finally:
        tracemalloc.stop()


def test_a_table_trains_by_the_names_of_its_columns() -> None:
    table = Table({"a": X[:, 0], "b": X[:, 1], "price": Y[:, 0]})
    found = numbers(trained(table, target="price"))
    np.testing.assert_allclose(found, numbers(trained((X, Y))), rtol=1e-6)
    with pytest.raises(ArgumentError, match="the column of the table .* target='price'"):
        trained(table)
    with pytest.raises(ArgumentError, match="target= is for tables"):
        trained((X, Y), target="price")


def test_a_data_frame_trains_as_a_table_does() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": X[:, 0], "b": X[:, 1], "price": Y[:, 0]})
    found = numbers(trained(frame, target="price", validation=frame))
    np.testing.assert_allclose(found, numbers(trained((X, Y))), rtol=1e-6)


class Stream(IterableDataset):
    """The samples, one after the other; how many there are it does not say."""

    def __iter__(self) -> Iterator[Any]:
        return zip(X, Y, strict=True)


@pytest.mark.parametrize("data", [Stream(), DataLoader(Stream(), batch_size=8, num_workers=2)])
def test_a_stream_trains_in_batches(data: Any) -> None:
    model = trained(data)
    np.testing.assert_allclose(numbers(model), numbers(trained((X, Y))), rtol=1e-6)
    figures = [train.evaluate(model, part, ["mse"])["mse"] for part in (data, (X, Y))]
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)


class Masked(nn.Module):
    """A model of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, x: smelt.Tensor, mask: smelt.Tensor) -> smelt.Tensor:
        return self.line(x * mask)


MASK = np.ones((24, 1), np.float32)


@pytest.mark.parametrize(
    "data",
    [(X, MASK, Y), ((X, MASK), Y), ({"mask": MASK, "x": X}, Y)],
    ids=["flat", "nested", "by name"],
)
def test_several_inputs(data: Any) -> None:
    smelt.manual_seed(0)
    np.testing.assert_allclose(
        numbers(trained(data, Masked())), numbers(trained((X, Y))), rtol=1e-6
    )


class OwnLoss(nn.Module):
    """A model that returns its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(2, 1)

    def forward(self, x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        return F.mse_loss(self.line(x), y)


@pytest.mark.parametrize("data", [(X, Y), {"x": X, "y": Y}], ids=["tuple", "dict"])
def test_a_model_may_return_its_loss(data: Any) -> None:
    smelt.manual_seed(0)
    found = numbers(trained(data, OwnLoss(), loss=None))
    np.testing.assert_allclose(found, numbers(trained((X, Y))), rtol=1e-6)


@pytest.mark.parametrize("kind", ["arrays", "loader"])
def test_gradients_of_several_batches_are_averaged(kind: str) -> None:
    """Four batches of 4 are one of 16, and the two that are left one of 8."""
    data = (X, Y) if kind == "arrays" else DataLoader(TensorDataset(X, Y), batch_size=4)
    found = trained(data, accumulate=4, **({"batch_size": 4} if kind == "arrays" else {}))
    np.testing.assert_allclose(numbers(found), numbers(trained((X, Y), batch_size=16)), rtol=1e-5)


def test_long_gradients_are_clipped() -> None:
    model = trained((X, Y), epochs=None, steps=1, max_grad_norm=1e-3)
    smelt.manual_seed(0)
    moved = np.linalg.norm(numbers(model) - numbers(nn.Linear(2, 1)))
    assert moved == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_steps_are_counted_over_passes() -> None:
    seen: list[tuple[int, int]] = []

    class Seen(train.Callback):
        def epoch(self, epoch: train.Epoch) -> None:
            seen.append((epoch.number, self.training.step))

    trained((X, Y), epochs=None, steps=7, steps_per_epoch=2, callbacks=[Seen()])
    assert seen == [(1, 2), (2, 4), (3, 6), (4, 7)]


def test_averaged_weights_are_what_is_validated() -> None:
    model = nn.Linear(2, 1)
    averaged = AveragedModel(model)
    smelt.manual_seed(0)
    history = train.fit(
        model, F.mse_loss, optim.SGD(model.parameters(), lr=0.1), (X, Y),
        epochs=2, batch_size=8, validation=(X, Y), averaged=averaged, progress=False,
    )  # fmt: skip
    expected = train.evaluator(averaged, (X, Y), loss=F.mse_loss)()["loss"]
    assert history.epochs[-1].held_out["loss"] == expected
    assert averaged.n_averaged.item() == 6


def test_a_plateau_lowers_the_rate_after_epochs() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-12)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, eps=0.0)
    train.fit(
        model, F.mse_loss, optimizer, (X, Y), epochs=3, scheduler=scheduler, batch_size=24,
        progress=False,
    )  # fmt: skip
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(1e-14)


class Once:
    """What can be read once only."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration


class Nothing:
    """An iterable without batches."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            (X, Y[:3]),
            ShapeError,
            r"the same first extent, the number of samples; got the shapes \(24, 2\), \(3, 1\)",
        ),
        ((X[:0], Y[:0]), ArgumentError, "there are no samples"),
        (
            (X, [1, 2]),
            ShapeError,
            r"first extent, the number of samples; got the shapes \(24, 2\), \(2,\)",
        ),
        ((X, 3), ArgumentError, "a tuple of data must hold arrays, but this one holds an int"),
        (5, ArgumentError, "an int holds no samples"),
        (Once(), ArgumentError, "can be read once only"),
        (Nothing(), ArgumentError, "the data have no batch"),
        ([X, Y], ArgumentError, r"arrays are given in a tuple, as \(x, y\)"),
        (DataLoader(["a", "b"], collate_fn=list), DTypeError, "in collate_fn"),
        ((X,), ArgumentError, "a batch needs an input and a target"),
    ],
)
def test_data_that_are_none_are_refused(data: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        trained(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": None}, "give epochs= or steps=, how long"),
        ({"steps": 2.5}, "steps=2.5 must be a whole number"),
        ({"accumulate": 0}, "accumulate=0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"metrics": {"accuracy": train.accuracy}}, "metrics are measured on held-out data"),
        ({"resume": True}, "resume=True needs run="),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        trained((X, Y), **options)


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be one number, got shape \(8, 1\); .*mean"):
        trained((X, Y), loss=lambda output, target: output - target)
    with pytest.raises(ArgumentError, match="the loss must return a Tensor, got float"):
        trained((X, Y), loss=lambda output, target: 0.5)


def test_no_model_is_refused() -> None:
    optimizer = optim.SGD(nn.Linear(2, 1).parameters())
    with pytest.raises(ArgumentError, match="the model is a function; write fit"):
        train.fit(lambda x: x, F.mse_loss, optimizer, (X, Y), epochs=1)  # type: ignore


# --- run folders ----------------------------------------------------------------------------------


def test_a_run_whose_first_step_fails_leaves_the_folder_free(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ShapeError):
        trained((X[:, :1], Y), run=run)
    assert not any(run.iterdir())
    trained((X, Y), run=run)
    assert (run / "checkpoint.safetensors").exists()


def test_one_call_begins_a_run_or_resumes_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for _ in range(2):
        trained((X, Y), run=run, resume="auto")
        assert len(train.read_metrics(run)) == 2
    folder = train.RunFolder(run, nn.Linear(2, 1), resume="auto")
    assert folder.resume
    assert not train.RunFolder(tmp_path / "new", nn.Linear(2, 1), resume="auto").resume
    with pytest.raises(ArgumentError, match="resume='auto' needs run="):
        trained((X, Y), resume="auto")


def test_another_learning_rate_for_a_resumed_run_is_warned_of(tmp_path: Path) -> None:
    def fit(rate: float, **options: Any) -> None:
        model = nn.Linear(2, 1)
        optimizer = optim.Adam(model.parameters(), lr=rate)
        options = {"progress": False, "run": tmp_path / "run", **options}
        train.fit(model, F.mse_loss, optimizer, (X, Y), **options)

    fit(0.1, epochs=1)
    fit(0.1, epochs=2, resume=True)
    with pytest.warns(UserWarning, match="lr=0.1, with which it was begun, not with 0.2"):
        fit(0.2, epochs=3, resume=True)


def test_rows_that_are_not_finite_are_named() -> None:
    x = np.array(X)
    x[2, 1] = np.nan
    with pytest.raises(
        NumericsError, match=r"array 0 of the data holds nan or inf, first in row 2 "
    ):
        trained((x, Y))


def test_a_run_goes_on_only_as_what_it_was(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained((X, Y), run=run)
    with pytest.raises(FileError, match="holds a run already; .* resume=True"):
        trained((X, Y), run=run)
    with pytest.raises(StateError, match="batch_size=8, and this one has 6"):
        trained((X, Y), run=run, resume=True, batch_size=6)
    with pytest.raises(StateError, match="does not fit Linear"):
        trained((X[:, :1], Y), model=nn.Linear(1, 1), run=run, resume=True)
    with pytest.raises(FileError, match="holds no run that could be resumed"):
        trained((X, Y), run=tmp_path / "other", resume=True)
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"no.safetensors"):
        trained((X, Y), resume=tmp_path / "no.safetensors")
    smelt.save({"a": 1}, tmp_path / "other.safetensors")
    with pytest.raises(StateError, match="not the state of a training"):
        trained((X, Y), resume=tmp_path / "other.safetensors")


def test_a_checkpoint_elsewhere_is_gone_on_from(tmp_path: Path) -> None:
    whole = trained((X, Y), epochs=4)
    trained((X, Y), run=tmp_path / "first")
    found = trained((X, Y), epochs=4, resume=tmp_path / "first", run=tmp_path / "second")
    assert numbers(found).tobytes() == numbers(whole).tobytes()
    assert len(train.read_metrics(tmp_path / "second")) == 4


def test_a_folder_in_which_a_training_is_at_work_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained((X, Y), run=run)

    class Second(train.Callback):
        def epoch(self, epoch: train.Epoch) -> None:
            with pytest.raises(FileError, match="another training is using"):
                trained((X, Y), epochs=9, run=run, resume=True)

    trained((X, Y), epochs=3, run=run, resume=True, callbacks=[Second()])
    assert len(train.read_metrics(run)) == 3


# --- what nobody would notice ---------------------------------------------------------------------


def test_a_schedule_goes_on_by_the_epoch_unless_it_is_told_otherwise() -> None:
    def rate(make: Any, **options: Any) -> float:
        model = nn.Linear(2, 1)
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        scheduler = make(optimizer)
        train.fit(
            model, lambda x, y: 0.0 * F.mse_loss(x, y), optimizer, (X, Y), epochs=2, batch_size=8,
            scheduler=scheduler, progress=False, **options,
        )  # fmt: skip
        return float(scheduler.get_last_lr()[0])

    def halved(optimizer: Any) -> Any:
        return optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)

    assert rate(halved) == pytest.approx(0.5**2)
    assert rate(halved, scheduler_interval="step") == pytest.approx(0.5**6)

    def one_cycle(optimizer: Any) -> Any:
        return optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=7, cycle_momentum=False
        )

    assert rate(one_cycle) < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "cross_entropy"}, "the loss is 'cross_entropy'; give a function"),
        ({"callbacks": train.EarlyStopping()}, "callbacks must be a list, got"),
        ({"callbacks": [train.EarlyStopping]}, "callbacks contains the class EarlyStopping"),
        ({"scheduler": optim.lr_scheduler.StepLR}, "the scheduler is the class StepLR"),
    ],
)
def test_parts_that_are_none_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        trained((X, Y), **options)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer, stranger = (optim.SGD(one.parameters(), lr=0.1) for one in (model, other))
    scheduler = optim.lr_scheduler.StepLR(stranger, 3)
    with pytest.raises(ArgumentError, match="belongs to another optimizer"):
        train.fit(model, F.mse_loss, optimizer, (X, Y), epochs=1, scheduler=scheduler)
    with pytest.raises(ArgumentError, match="the optimizer is the class SGD|the optimizer is"):
        train.fit(model, F.mse_loss, optim.SGD, (X, Y), epochs=1)  # type: ignore
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    with pytest.raises(ArgumentError, match="a DataLoader has its own batch_size"):
        train.fit(model, F.mse_loss, optimizer, loader, epochs=1, batch_size=32)
    shuffled = DataLoader(TensorDataset(X), batch_size=8, shuffle=True)
    with pytest.raises(ArgumentError, match="the loader shuffles"):
        train.predict(model, shuffled)
    table = Table({"a": X[:, 0], "kind": ["x"] * 24, "price": Y[:, 0]})
    with pytest.raises(ArgumentError, match="hold text: 'kind'; convert them"):
        train.fit(model, F.mse_loss, optimizer, table, epochs=1, target="price")


def test_an_optimizer_of_another_model_is_refused() -> None:
    model, other = nn.Sequential(*[nn.Linear(2, 2) for _ in range(3)]), nn.Linear(2, 2)
    optimizer = optim.Adam(other.parameters())
    message = r"none of the model's parameters \(0.weight, .*1.bias and 2 more\).*optim.Adam\(model"
    with pytest.raises(ArgumentError, match=message):
        train.fit(model, F.mse_loss, optimizer, (X, X), epochs=1)
    for own in model[:2].parameters():  # of a model that is tuned, a part is frozen
        own.requires_grad_(False)
    train.fit(
        model, F.mse_loss, optim.Adam(model[2].parameters()), (X, X), epochs=1, batch_size=8,
        progress=False,
    )  # fmt: skip


def test_the_same_share_of_the_data_is_held_out_each_time() -> None:
    samples = [(X[n], Y[n]) for n in range(24)]
    seen: list[list[float]] = []

    class Seen(train.Metric):
        rows = True

        def measure(self, output: Any, target: Any) -> Any:
            return target

        def compute(self, total: Any) -> Any:
            seen.append(sorted(total.ravel().tolist()))
            return len(total)

    for data in ((X, Y), TensorDataset(X, Y), samples, (X, Y)):
        trained(data, validation=0.25, metrics=[Seen()], epochs=1, batch_size=6, seed=len(seen))
    assert len(seen[0]) == 6
    assert all(found == seen[0] for found in seen)
    table = Table({"a": X[:, 0], "b": X[:, 1], "price": Y[:, 0]})
    trained(table, target="price", validation=0.25, metrics=[Seen()], epochs=1, batch_size=6)
    assert seen[-1] == seen[0]


@pytest.mark.parametrize(
    ("data", "share", "message"),
    [
        ((X, Y), 0.0, "validation=0.0 must be a fraction of the data, above 0 and below 1"),
        ((X, Y), 1.5, "validation=1.5 must be a fraction"),
        ((X, Y), 0.01, "of 24 samples leaves no sample"),
        (Stream(), 0.5, "cannot be split off a Stream"),
        (DataLoader(TensorDataset(X, Y), 8), 0.5, "cannot be split off a DataLoader"),
    ],
)
def test_a_share_that_cannot_be_held_out_is_refused(data: Any, share: float, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        trained(data, validation=share)


def test_another_optimizer_is_named_in_a_line(tmp_path: Path) -> None:
    def fitted(make: Any, **options: Any) -> None:
        model = nn.Linear(2, 1)
        train.fit(
            model, F.mse_loss, make(model.parameters()), (X, Y), batch_size=8, progress=False,
            run=tmp_path / "run", **options,
        )  # fmt: skip

    fitted(lambda own: optim.SGD(own, lr=0.1, momentum=0.9), epochs=1)
    with pytest.raises(StateError) as caught:
        fitted(lambda own: optim.Adam(own), epochs=2, resume=True)
    assert "the training had the optimizer SGD, and this one has Adam" in str(caught.value)
    with pytest.raises(StateError) as caught:
        fitted(lambda own: optim.SGD(own, lr=0.1), epochs=2, resume=True)
    lines = str(caught.value).splitlines()
    assert lines[1] == "  state.0.momentum_buffer and 1 more of the kind: unexpected"
    assert lines[2] == "  param_groups.0.momentum: 0.9 in the state_dict, 0.0 in the optimizer"


def test_a_callback_in_the_words_of_others_is_refused() -> None:
    with pytest.raises(ArgumentError, match="on_epoch_end is never called"):

        class Keras(train.Callback):
            def on_epoch_end(self, epoch: int) -> None:
                """Would be called by Keras."""


def test_labels_in_a_list_are_a_tensor() -> None:
    """As a `collate_fn` collects them."""

    def together(samples: list[Any]) -> Any:
        return np.stack([x for x, _ in samples]), [label for _, label in samples]

    labels = (X[:, 0] > 0).astype(int).tolist()
    loader = DataLoader(list(zip(X, labels, strict=True)), batch_size=8, collate_fn=together)
    model = trained(
        loader, nn.Linear(2, 2), loss=F.cross_entropy, validation=loader, metrics=["accuracy"]
    )
    assert train.evaluate(model, loader, ["accuracy"])["accuracy"] > 0
    assert train.predict(model, loader).shape == (24, 2)


def test_a_run_that_is_finished_says_so(tmp_path: Path) -> None:
    trained((X, Y), run=tmp_path / "run")
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    history = train.fit(
        model, F.mse_loss, optimizer, (X, Y), epochs=2, batch_size=8, shuffle=False,
        run=tmp_path / "run", resume=True, progress=False,
    )  # fmt: skip
    assert history.stopped == "the training was complete before"
    assert len(history.epochs) == 2
    assert repr(history).startswith("History(2 epochs; last: loss ")


def test_few_samples_are_one_batch_where_nobody_says_how_many() -> None:
    few, options = (smelt.tensor(X[:10]), smelt.tensor(Y[:10])), {"batch_size": None}
    found = trained(few, **options)
    assert (numbers(found) == numbers(trained(few, batch_size=10))).all()
    assert (numbers(found) == numbers(trained(TensorDataset(*few), **options))).all()
    train.find_learning_rate(found, F.mse_loss, optim.SGD(found.parameters()), few, steps=12)
    with pytest.raises(ArgumentError, match="batch_size=11 must lie between 1 and 10, the number"):
        trained(few, batch_size=11)
    with pytest.raises(ArgumentError, match=r"arrays are given in a tuple, as \(x, y\)"):
        trained(list(few), **options)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "returned None; it must return metrics by name"),
        (0.5, "returned 0.5; it must return metrics by name"),
        ({"a": np.ones(2)}, "returned 'a': an array of float64"),
        ({"a": "b"}, "it must return numbers by name"),
        ({1: 2.0}, "it must return numbers by name"),
    ],
)
def test_what_a_validation_function_returns_is_looked_at(found: Any, message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        trained((X, Y), validation=lambda: found)


def test_a_validation_function_may_return_tensors() -> None:
    seen: list[dict[str, float]] = []

    class Seen(train.Callback):
        def epoch(self, epoch: train.Epoch) -> None:
            seen.append(epoch.held_out)

    figures = {"a": smelt.tensor(2.0), "b": np.float32(3)}
    trained((X, Y), validation=lambda: figures, callbacks=[Seen()], epochs=1)
    assert seen == [{"a": 2.0, "b": 3.0}]
