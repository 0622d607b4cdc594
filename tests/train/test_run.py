"""The run folder."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from smelt import nn
from smelt.errors import ArgumentError, FileError, StateError
from smelt.train import (
    Epoch,
    History,
    RunFolder,
    new_folder,
    read_checkpoint,
    read_config,
    read_metrics,
    read_model,
)

EPOCH = Epoch(1, 0.5, {"accuracy": 0.9}, 0.01)


@pytest.fixture
def model() -> nn.Linear:
    return nn.Linear(2, 3)


def started(path: Path, model: nn.Module, **config: float) -> RunFolder:
    folder = RunFolder(path, model, config)
    folder.start(1)
    return folder


def test_a_run_can_be_read_back(model: nn.Linear, tmp_path: Path) -> None:
    folder = started(tmp_path / "deep" / "run", model, lr=0.1)
    folder.epoch(EPOCH)
    folder.end(History([EPOCH]))
    assert read_config(folder.path) == {"lr": 0.1}
    assert read_metrics(folder.path) == [
        {"epoch": 1, "loss": 0.5, "held_out_accuracy": 0.9, "seconds": 0.01}
    ]
    other = nn.Linear(2, 3)
    read_model(folder.path, other)
    assert (other.weight.numpy() == model.weight.numpy()).all()


def test_a_run_can_be_read_before_its_end(model: nn.Linear, tmp_path: Path) -> None:
    folder = started(tmp_path / "run", model)
    assert read_metrics(folder.path) == []
    folder.epoch(EPOCH)
    assert len(read_metrics(folder.path)) == 1
    read_model(folder.path, nn.Linear(2, 3))


def test_weights_are_saved_now_and_then(model: nn.Linear, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", model, save_every=60.0)
    folder.start(1)
    model.load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(3)})
    other = nn.Linear(2, 3)
    folder.epoch(EPOCH)  # the first epoch's, so that a run that is killed has learned something
    read_model(folder.path, other)
    assert (other.weight.numpy() == 1).all()
    model.load_state_dict({"weight": np.zeros((3, 2)), "bias": np.zeros(3)})
    folder.epoch(EPOCH)
    read_model(folder.path, other)
    assert (other.weight.numpy() == 1).all()
    folder.save_every = 0.0
    folder.epoch(EPOCH)
    read_model(folder.path, other)
    assert (other.weight.numpy() == 0).all()


def test_a_folder_with_a_run_is_not_overwritten(model: nn.Linear, tmp_path: Path) -> None:
    started(tmp_path, model)
    with pytest.raises(FileError, match="holds a run already"):
        RunFolder(tmp_path, model, {})


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(model: nn.Linear, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="cannot write"):
        RunFolder(tmp_path / "run", model, {})


def test_a_file_in_place_of_the_folder_is_refused(model: nn.Linear, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(FileError, match="cannot be a folder"):
        RunFolder(tmp_path / "run", model, {})


def test_weights_of_another_model_are_refused(model: nn.Linear, tmp_path: Path) -> None:
    folder = started(tmp_path / "run", model)
    with pytest.raises(StateError):
        read_model(folder.path, nn.Linear(3, 3))


def test_new_folders_are_numbered(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "runs", "digits") == tmp_path / "runs" / "digits-1"
    assert new_folder(tmp_path / "runs", "digits") == tmp_path / "runs" / "digits-2"


def test_each_of_several_programs_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    found: list[Path] = []
    work = [
        threading.Thread(target=lambda: found.append(new_folder(tmp_path, "x"))) for _ in "12345"
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len(set(found)) == 5
    with pytest.raises(FileError):
        new_folder(tmp_path, "a/b")


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    for read in (read_config, read_metrics):
        with pytest.raises(FileError, match="not the folder of a run"):
            read(tmp_path)


def test_damaged_text_is_named(model: nn.Linear, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"epoch": 1}) + "\n{\n")
    with pytest.raises(FileError, match="config.json: is damaged"):
        read_config(tmp_path)
    with pytest.raises(FileError, match="metrics.jsonl: is damaged"):
        read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0.5, "loss": 0.25}\n')
    with pytest.raises(FileError, match="'loss' occurs twice"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "model.safetensors"])
def test_a_folder_with_any_file_of_a_run_is_refused(
    name: str, model: nn.Linear, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("something")
    with pytest.raises(FileError, match="holds a run already"):
        RunFolder(tmp_path, model, {})
    assert (tmp_path / name).read_text() == "something"


def test_of_two_trainings_the_second_is_refused(model: nn.Linear, tmp_path: Path) -> None:
    first, second = (RunFolder(tmp_path, model, {"number": n}) for n in range(2))
    second.start(1)
    with pytest.raises(FileError, match="holds a run already"):
        first.start(1)
    assert read_config(tmp_path) == {"number": 1}
    second.end(History())


@pytest.mark.parametrize("text", ["null", "[]", "3", "[" * 100_000, "\udcff", '{"lr": 1, "lr": 2}'])
def test_settings_that_are_none_are_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FileError, match="is damaged"):
        read_config(tmp_path)


def test_settings_that_json_lacks_are_refused_before_anything_is_written(
    model: nn.Linear, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="RunFolder: .* cannot be written as JSON"):
        RunFolder(tmp_path / "run", model, {"loss": object()})
    RunFolder(tmp_path / "run", model, {"lr": np.float32(0.5), "best": np.nan}).start(1)
    assert read_config(tmp_path / "run") == {"lr": 0.5, "best": None}


def test_a_loop_of_the_users_keeps_a_checkpoint_of_its_own(
    model: nn.Linear, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run", model, save_every=0.0)
    folder.start(2)
    with pytest.raises(ArgumentError, match="give the state that your loop needs"):
        folder.save_checkpoint()
    folder.save_checkpoint({"epoch": 1})
    folder.epoch(EPOCH)  # writes none: it does not know what the loop needs by now
    folder.end(History([EPOCH]))
    assert read_checkpoint(tmp_path / "run") == {"epoch": 1}
    assert RunFolder(tmp_path / "run", model, resume=True).path == tmp_path / "run"


def test_a_folder_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no such folder"):
        read_config(tmp_path / "none")
    with pytest.raises(FileError, match=r"it has no config\.json"):
        read_config(tmp_path)
