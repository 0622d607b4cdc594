"""`smelt train` and `smelt fit` under mpiexec: what they are alone, once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from smelt.export import load_file
from smelt.train import read_metrics
from tests.distributed.launcher import MPIEXEC, PATIENCE

SMELT = Path(sys.executable).with_name("smelt")


def smelt(count, *arguments, folder):
    command = [MPIEXEC, "-n", str(count), SMELT, *arguments]
    return subprocess.run(
        list(map(str, command)),
        env={**os.environ, "SMELT_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
        check=True,
    ).stdout


def test_smelt_train_on_two_ranks_is_one_training(tmp_path):
    outputs = {
        count: smelt(
            count, "train", "digits", "--epochs", 2, "--out", f"of-{count}", folder=tmp_path
        )
        for count in (1, 2)
    }
    for output in outputs.values():
        assert output.count("smelt train digits") == output.count("epoch 2/2") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of-1", "of-2"]
    one, two = (load_file(tmp_path / f"of-{count}" / "model.safetensors") for count in (1, 2))
    for name, x in one.items():
        np.testing.assert_allclose(two[name].numpy(), x.numpy(), rtol=0, atol=2e-4)
    rows = [read_metrics(tmp_path / f"of-{count}") for count in (1, 2)]
    assert [row["epoch"] for row in rows[1]] == [1, 2]
    for a, b in zip(*rows, strict=True):
        assert abs(a["loss"] - b["loss"]) < 1e-5
    again = smelt(2, "train", "--resume", "of-2", folder=tmp_path)
    assert again.count("the training was complete before") == 1


def test_smelt_fit_on_two_ranks_writes_one_run(tmp_path):
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 2))
    rows = "".join(f"{a},{b},{'up' if a + b > 0 else 'down'}\n" for a, b in x)
    (tmp_path / "table.csv").write_text(f"a,b,way\n{rows}")
    output = smelt(2, "fit", "table.csv", "--target", "way", "--epochs", 3, folder=tmp_path)
    assert output.count("importance:") == 1
    report = json.loads((tmp_path / "runs" / "table-1" / "report.json").read_text())
    assert report["scores"]["smelt"]["accuracy"] > 0.8
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["table-1"]
