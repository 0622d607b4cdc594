"""A loader whose worker raises, hangs or is killed while `fit` trains by it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import DataLoader, Dataset

SOON = 5.0  # seconds within which a training has to end
BAD = 30  # the sample with which something is wrong


class Troubled(Dataset):
    """Samples of which one raises, hangs, or ends its process."""

    def __init__(self, trouble: str, mark: Path) -> None:
        self.trouble, self.mark = trouble, mark

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        if index == BAD:
            self.mark.write_text(str(time.time()))
            if self.trouble == "raises":
                raise LookupError("gone")
            if self.trouble == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1000)
        return np.ones(2, np.float32), np.ones(1, np.float32)


CASES = [
    ("raises", "fork", LookupError, "gone"),
    ("raises", None, LookupError, "gone"),
    ("dies", "fork", Exception, "SIGKILL|killed|signal 9"),
    ("hangs", "fork", Exception, "made nothing in 2.0 s, and was ended"),
]


@pytest.mark.parametrize(("trouble", "context", "error", "message"), CASES)
def test_trouble_in_a_worker_ends_the_training_soon(
    trouble: str, context: str | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    children = set(multiprocessing.active_children())  # of a test before, such as joblib's
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(
        Troubled(trouble, tmp_path / "mark"), batch_size=4, num_workers=2,
        multiprocessing_context=context, timeout=2.0,
    )  # fmt: skip
    with pytest.raises(error, match=message):
        train.fit(
            model, F.mse_loss, optimizer, loader, epochs=3, progress=False, run=tmp_path / "run"
        )
    assert time.time() - float((tmp_path / "mark").read_text()) < SOON
    assert set(multiprocessing.active_children()) <= children
    assert {one for one in threading.enumerate() if one.is_alive()} <= before
    steps = train.read_checkpoint(tmp_path / "run")["step"]
    assert steps == optimizer.param_groups[0]["step"].max().item() == BAD // 4  # all is kept
