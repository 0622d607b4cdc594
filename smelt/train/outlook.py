"""An estimate of what a training will take, made when its first steps have been timed."""

from __future__ import annotations

from smelt.train.history import Progress
from smelt.train.training import Training

__all__ = ["outlook"]

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
LONG = 60.0  # seconds from which on a time is said in minutes


def outlook(training: Training, progress: Progress) -> str:
    """Returns a text with the size of the model and the time of a step and an epoch.

    `model 10,250 parameters, 41.0 kB; step 64 samples, 0.21 MB, 0.18 ms; epoch 23 steps, 4.1 ms`

    Args:
        training: has made steps.
        progress: of the last steps, which compiled nothing.
    """
    parameters = list(training.update.model.parameters())
    count = sum(parameter.size for parameter in parameters)
    held = sum(parameter.size * parameter.dtype.itemsize for parameter in parameters)
    step = [f"{amount(max(step.memory().peak for step in training.update.steps))} at its peak"]
    if progress.step_seconds is not None:
        step.append(duration(progress.step_seconds))
    if training.feed.batch_size is not None:
        step.insert(0, f"{training.feed.batch_size * training.update.accumulate:,} samples")
    parts = [f"model {count:,} parameters, {amount(held)}", f"step {', '.join(step)}"]
    if progress.steps is not None and progress.step_seconds is not None:
        whole = duration(progress.steps * progress.step_seconds)
        parts.append(f"epoch {progress.steps:,} steps, {whole}")
    return "; ".join(parts)


def amount(size: float) -> str:
    """Returns bytes in a suitable unit: `41.0 kB`."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} bytes"


def duration(seconds: float) -> str:
    """Returns a time in a suitable unit: `0.18 ms`, `4.1 s`, `2:05 min`."""
    if seconds >= LONG:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
    number, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
