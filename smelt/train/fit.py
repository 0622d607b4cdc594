"""The training loop: epochs of compiled steps, each with a validation on held-out data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from smelt.data import DataLoader
from smelt.data.dataset import common_classes
from smelt.distributed.sharded_optimizer import ZeroRedundancyOptimizer
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.nn.module import Module
from smelt.ops.op import is_whole_number
from smelt.optim.lr_scheduler import OneCycleLR
from smelt.optim.swa_utils import AveragedModel
from smelt.random import manual_seed
from smelt.tensor.checked import checked, described
from smelt.train.beside import BesideValidation, check_beside
from smelt.train.feed import BATCH, feed_of
from smelt.train.held_out_predictions import keep_predictions
from smelt.train.history import Callback, History
from smelt.train.interrupt import terminable
from smelt.train.loop import Loop
from smelt.train.precision import precision_of
from smelt.train.progress import is_progress
from smelt.train.progress import progress as shown_progress
from smelt.train.ranks import first_rank, heard_by_all, ranks_of
from smelt.train.run import RunFolder, read_checkpoint
from smelt.train.source import split_off, without_names
from smelt.train.step import Loss, Optimizer, Scheduler, Update, goes_by_step
from smelt.train.summary import is_held_out, summary_of
from smelt.train.training import Training
from smelt.train.validation import validation_of

__all__ = ["fit"]

Location = str | os.PathLike[str]
SHOWN = 4  # names of parameters in a message


@checked
def fit(
    model: Module,
    loss: Loss | None,
    optimizer: Optimizer,
    data: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    steps_per_epoch: int | None = None,
    batch_size: int | None = None,
    shuffle: bool | None = None,
    drop_last: bool = False,
    target: str | Sequence[str] | None = None,
    validation: Any = None,
    metrics: Any = None,
    background_validation: bool = False,
    scheduler: Scheduler | None = None,
    scheduler_interval: Literal["step", "epoch"] | None = None,
    max_grad_norm: float | None = None,
    accumulate: int = 1,
    averaged: AveragedModel | None = None,
    precision: Any = None,
    callbacks: Sequence[Callback] = (),
    run: RunFolder | Location | None = None,
    resume: bool | Literal["auto"] | Location = False,
    progress: bool = True,
    seed: int | None = None,
) -> History:
    """Trains a model.

    Ctrl-C ends the training without an error: the model is that of the last finished step, the
    `end` of the callbacks is called, and the history has `interrupted` set. SIGTERM and SIGHUP do
    the same, and then end the program.

    Args:
        model: the model to train; it is changed in place.
        loss: (the model's output, the target) -> a number to minimize. None: the model gets the
            whole batch, and returns the loss.
        optimizer: holds the model's parameters.
        data: arrays (n, ...) in a tuple, the target last, as `(x, y)` or `((x, mask), y)`; a
            TensorDataset, a dataset; a Table, or one of pandas, polars or Arrow, with `target`; a
            DataLoader, or another iterable of batches that can be iterated over for every pass.
        epochs: number of passes over the data; with `steps_per_epoch`, an epoch is that many steps.
        steps: number of steps in total, instead of `epochs`; with `epochs`, the maximum.
        steps_per_epoch: steps between two validations, if an epoch should not be a pass over the
            data.
        batch_size: samples per batch; when None, 64, or all if there are fewer. A loader has its
            own.
        shuffle: whether each pass has its own order, drawn from the default generator; None means
            True. A loader has its own.
        drop_last: whether a last batch that is smaller than the others is left out.
        target: the columns of a table to predict.
        validation: held-out data, of the same kinds; a fraction such as 0.2, which is split off the
            data at random, always the same samples; or a function without arguments that returns
            name -> value.
        metrics: what is measured on held-out data in addition to the loss: name -> metric.
        background_validation: whether a thread measures an epoch on a copy of the weights while the
            next one trains; loss and metrics must not read the model themselves. Callbacks for an
            epoch are called after the steps of the next one, with the model as it was measured; a
            callback that stops the training then stops it after that one.
        scheduler: changes the learning rate; a ReduceLROnPlateau looks at the held-out loss after
            each epoch (without held-out data, at the training loss).
        scheduler_interval: whether it is stepped after each "step" or each "epoch"; None: each
            epoch, but each step for a OneCycleLR.
        max_grad_norm: the norm to which the gradient of all parameters together is clipped.
        accumulate: number of batches over which the gradients of one step are averaged.
        averaged: an average of the weights, updated after each step; it is the model that is
            validated.
        precision: with "bfloat16" the model uses copies of its parameters and inputs that are
            rounded to 16 bits, and stores activations in 16 bits. Parameters, gradients, moments
            and loss stay float32, and so does what is validated and saved. It needs a `loss`.
        callbacks: called as the training proceeds; see `Callback`.
        run: a folder, or RunFolder, in which the training is saved.
        resume: True resumes the training in `run`; "auto" does so if there is one, and otherwise
            begins a new one; a path resumes from another checkpoint or run folder. From then on
            every bit is that of an uninterrupted training.
        progress: whether to show the progress.
        seed: seeds the default generator, from which the order and dropout are drawn; None leaves
            it unchanged.

    Returns:
        The finished epochs.

    Raises:
        ArgumentError: a setting is out of range, or the data are of an unsupported kind.
        NumericsError: a loss or a weight was nan or infinite. Model, optimizer and everything else
            are as at the end of the last good epoch, and so is what is saved in `run`.
        StateError: the checkpoint to resume from belongs to another model, optimizer or batch size.
        FileError: the run folder cannot be written, holds another run, or is in use.

    Example:
        >>> import smelt
        >>> from smelt import nn, optim, train
        >>> x = smelt.linspace(-1, 1, 64).unsqueeze(1)
        >>> model = nn.Linear(1, 1)
        >>> history = train.fit(
        ...     model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.1), (x, 2 * x + 1),
        ...     epochs=50, batch_size=16, progress=False,
        ... )
        >>> round(model.bias.item(), 2), len(history.epochs)
        (1.0, 50)
    """
    _check(model, epochs, steps, steps_per_epoch, accumulate)
    _check_parts(model, loss, optimizer, scheduler, callbacks)
    _check_averaged(model, averaged)
    if isinstance(data, DataLoader):
        _check_loader(batch_size=batch_size, shuffle=shuffle)
    classes = common_classes("fit", data, validation)
    shuffle = shuffle is not False
    if seed is not None:
        manual_seed(seed)
    interval = scheduler_interval or ("step" if isinstance(scheduler, OneCycleLR) else "epoch")
    per_step = scheduler if goes_by_step(scheduler, interval) else None
    stored = precision_of(precision)
    ranks = ranks_of(model, {"batch_size": batch_size, "epochs": epochs, "steps": steps})
    _check_sharded(optimizer, max_grad_norm, accumulate)
    parts = model, loss, optimizer, per_step, max_grad_norm, averaged, accumulate, stored, ranks
    update = Update(*parts)
    data = without_names(data, target)
    if isinstance(validation, float):
        data, validation = split_off(data, validation, "fit")
    elif is_held_out(validation):
        validation = without_names(validation, target)
    feed = feed_of(data, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last)
    feed.share(ranks)
    measured = model if averaged is None else averaged
    validated = validation_of(measured, loss, validation, metrics, ranks is not None)
    beside = None
    if background_validation:
        check_beside(data, validation, scheduler)
        make = lambda model, data: validation_of(model, loss, data, metrics).measure  # noqa: E731
        part = "model" if averaged is None else "averaged"
        beside = BesideValidation(measured, part, validation, make)
    plan = {
        "batch_size": BATCH if batch_size is None else batch_size,
        "shuffle": shuffle,
        "drop_last": drop_last,
        "accumulate": accumulate,
        "batches": feed.batches,
        "precision": None if stored is None else stored.name,
        "background_validation": background_validation or None,
    }
    told = [*callbacks]
    if run is not None and not isinstance(run, RunFolder):
        config = {**plan, "epochs": epochs, "steps": steps}
        run = RunFolder(run, model, config, resume="auto" if resume == "auto" else resume is True)
    if run is not None:
        named = {"loss": loss, "optimizer": optimizer, "scheduler": scheduler}
        run.summary = summary_of(model, named, data, validation)
        run.classes = run.classes or classes
        told.append(run)  # after the others: a checkpoint has what they have learned by now
    if not first_rank():
        told = [callback for callback in told if not is_progress(callback)]
    elif progress and not any(map(is_progress, told)):
        told.append(shown_progress())
    by_epoch = None if per_step else scheduler
    better, figures = validated.higher_is_better, validated.figures
    training = Training(update, feed, by_epoch, told, plan, better, figures)
    source = _source(run, resume)
    if source is not None:
        training.load_state_dict(read_checkpoint(source))
    loop = Loop(training, epochs, steps, steps_per_epoch, validated.measure, run, beside)
    model.train()
    with terminable(), heard_by_all(ranks):
        loop.train()
        history = training.history
        if run is not None and is_held_out(validation) and not history.interrupted:
            try:
                keep_predictions(run, loss, validation, metrics)
            except KeyboardInterrupt:  # the training itself is over, and kept
                history.interrupted = True
    return history


def _check(
    model: Any,
    epochs: int | None,
    steps: int | None,
    steps_per_epoch: int | None,
    accumulate: int,
) -> None:
    if not isinstance(model, Module):
        raise ArgumentError(
            f"fit: the model is a {type(model).__name__}; write fit(model, loss, optimizer, data)"
        )
    if epochs is None and steps is None:
        raise ArgumentError("fit: give epochs= or steps=, how long to train")
    for name, value, least in (
        ("epochs", epochs, 0),
        ("steps", steps, 0),
        ("steps_per_epoch", steps_per_epoch, 1),
        ("accumulate", accumulate, 1),
    ):
        if value is not None and (not is_whole_number(value) or value < least):
            raise ArgumentError(f"fit: {name}={value!r} must be a whole number, at least {least}")


def _check_parts(model: Module, loss: Any, optimizer: Any, scheduler: Any, callbacks: Any) -> None:
    """Raises for what is no loss, optimizer, schedule or callback, and for parts that do not belong
    together.
    """
    if loss is not None and not callable(loss):
        raise ArgumentTypeError(
            f"fit: the loss is {described(loss)}; give a function of (output, target), such as "
            "F.cross_entropy"
        )
    if isinstance(optimizer, type) or not hasattr(optimizer, "zero_grad"):
        raise ArgumentTypeError(
            f"fit: the optimizer is {described(optimizer)}; give an optimizer of the model's "
            "parameters, such as optim.Adam(model.parameters())"
        )
    if isinstance(scheduler, type):
        raise ArgumentTypeError(
            f"fit: the scheduler is the class {scheduler.__name__}; give an instance, made with "
            "the optimizer, such as optim.lr_scheduler.StepLR(optimizer, 10)"
        )
    _check_held(model, optimizer)
    if scheduler is not None and not callable(getattr(scheduler, "step", None)):
        raise ArgumentTypeError(
            f"fit: the scheduler is {described(scheduler)}; give an instance, made with the "
            "optimizer, such as optim.lr_scheduler.StepLR(optimizer, 10)"
        )
    if scheduler is not None and getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ArgumentError(
            "fit: the scheduler belongs to another optimizer; make it with the optimizer that fit "
            "is given"
        )
    if not isinstance(callbacks, (list, tuple)):
        raise ArgumentTypeError(f"fit: callbacks must be a list, got {described(callbacks)}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ArgumentTypeError(
                f"fit: callbacks contains {described(callback)}; give instances of train.Callback "
                "or its subclasses"
            )


def _check_averaged(model: Module, averaged: Any) -> None:
    """Raises for what is no average of this model's weights."""
    if averaged is None:
        return
    if not isinstance(averaged, AveragedModel):
        raise ArgumentTypeError(
            f"fit: averaged is {described(averaged)}; give "
            "averaged=optim.swa_utils.AveragedModel(model)"
        )
    shapes, own = (
        {name: x.shape for name, x in of.named_parameters()} for of in (averaged.module, model)
    )
    if shapes != own:
        raise ArgumentError(
            "fit: averaged belongs to another model; give "
            "optim.swa_utils.AveragedModel(model), of the model that is trained"
        )


def _check_held(model: Module, optimizer: Any) -> None:
    """Raises for an optimizer that would change nothing of the model."""
    groups = getattr(optimizer, "param_groups", None)  # of Smelt's; one of a user's may have none
    every = dict(model.named_parameters())
    learned = {name: own for name, own in every.items() if own.requires_grad}
    if every and not learned:
        raise ArgumentError(
            f"fit: none of the model's {len(every)} parameters requires a gradient, so nothing "
            "would be trained; call requires_grad_() on the model, or on the part to train"
        )
    if groups is None or not learned:
        return
    held = {id(own) for group in groups for own in group["params"]}
    held |= {id(own) for own in getattr(optimizer, "parameters", ())}  # of parts of them
    if held.isdisjoint(map(id, learned.values())):
        first, more = list(learned)[:SHOWN], len(learned) - SHOWN
        names = ", ".join(first) + (f" and {more} more" if more > 0 else "")
        raise ArgumentError(
            f"fit: the optimizer holds none of the model's parameters ({names}), so nothing would "
            "be trained; make it with this model's: "
            f"optim.{type(optimizer).__name__}(model.parameters())"
        )


def _check_sharded(optimizer: Any, max_grad_norm: float | None, accumulate: int) -> None:
    """Raises for what would look at the gradients of one rank as if they were those of all."""
    if isinstance(optimizer, ZeroRedundancyOptimizer) and (max_grad_norm or accumulate > 1):
        raise ArgumentError(
            "fit: max_grad_norm and accumulate read gradients before a ZeroRedundancyOptimizer "
            "has taken their mean over all ranks; leave them out, or use the optimizer without "
            "sharding"
        )


def _check_loader(**settings: Any) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if given:
        raise ArgumentError(
            f"fit: a DataLoader has its own {' and '.join(given)}; leave it out here, and give it "
            "to the DataLoader"
        )


def _source(run: RunFolder | None, resume: bool | Location) -> Location | None:
    """Returns where to resume from, if anywhere."""
    if resume is False:
        return None
    if resume is not True and resume != "auto":
        return resume
    if run is None:
        raise ArgumentError(f"fit: resume={resume!r} needs run=, the folder to resume from")
    return run.path if resume is True or run.resume else None
