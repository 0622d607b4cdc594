"""The smelt command, as a person uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smelt import __version__, nn
from smelt.cli import main, shell
from smelt.data.digits import samples
from smelt.recipes import RECIPES, digits
from smelt.train import RunFolder, read_config, read_metrics, read_model

for library in ("cyclopts", "matplotlib", "PIL", "safetensors"):
    pytest.importorskip(library)
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole training with the settings that a user gets."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--out", str(folder)]) == 0
    return folder


def test_training_reaches_the_accuracy_that_we_promise(run: Path) -> None:
    rows = read_metrics(run)
    assert [row["epoch"] for row in rows] == list(range(1, 61))
    assert rows[-1]["held_out_accuracy"] >= 0.97
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_run_folder_holds_everything(run: Path) -> None:
    names = {"config.json", "confusion.png", "curves.png", "metrics.jsonl", "model.safetensors"}
    names |= {"checkpoint.safetensors", "result.json", "summary.json", "times.jsonl"}
    names |= {"predictions.safetensors"}
    assert {path.name for path in run.iterdir()} == names
    assert read_config(run) == {
        "recipe": "digits",
        "epochs": 60,
        "lr": 0.005,
        "batch_size": 64,
        "seed": 0,
    }


def test_the_result_is_a_file(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert list(result) == ["test_accuracy", "seconds"]
    assert result["test_accuracy"] == read_metrics(run)[-1]["held_out_accuracy"]
    assert result["seconds"] > 0


def test_the_saved_model_has_the_accuracy_that_was_reported(run: Path) -> None:
    model = digits.make_model()
    read_model(run, model)
    images, labels = digits.load_digits("test")
    right = digits.classify(model, images).argmax(axis=1) == labels.numpy()
    assert right.mean() == pytest.approx(read_metrics(run)[-1]["held_out_accuracy"])


def test_predict_names_the_samples(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = list(samples())
    assert main(["predict", str(run), *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line.split() for line in lines]
    assert [row[0] for row in found] == [str(path) for path in paths]
    right = sum(row[1] == path.name[0] for row, path in zip(found, paths, strict=True))
    assert right >= len(paths) - 1
    assert all(row[2].endswith("%") for row in found)


def test_training_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert main(["train", "digits", "--out", str(folder), "--epochs", "2", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    for part in (
        "epochs 2, lr 0.005, batch size 64, seed 0, run folder",
        "epoch 2/2  loss ",
        "test accuracy  0.",
        f"run folder     {folder}",
        "curves.png",
        "import ",
        "trace ",
        "compile ",
        "training ",
        f"smelt predict {folder} ",
    ):
        assert part in text


def test_the_command_that_training_proposes_works_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--out", "a run", "--epochs", "1"]) == 0
    text = capsys.readouterr().out
    assert "epochs 1, " in text
    (line,) = [line for line in text.splitlines() if line.startswith("try ")]
    found = subprocess.run(line.removeprefix("try"), shell=True, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("%\n")


def test_the_proposed_command_names_the_program_as_it_is_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "environment" / "bin" / "smelt"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shell.program() == os.path.join("environment", "bin", "smelt")
    monkeypatch.chdir(program.parent)
    assert shell.program() == os.path.join(".", "smelt")
    monkeypatch.setenv("PATH", str(program.parent))
    assert shell.program() == "smelt"


def test_no_epochs_are_a_training_too(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    digits.run(folder, epochs=0)
    assert not (folder / "curves.png").exists()
    read_model(folder, digits.make_model())


def test_info_prints_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert facts["smelt"] == __version__
    assert {"python", "numpy", "llvmlite", "llvm", "cpu", "features", "threads"} <= set(facts)
    assert facts["cache"].endswith("MB)")
    assert Path(facts["samples"]).is_dir()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs a command that must fail, and returns the one message that it prints."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("smelt: ")
    assert "Traceback" not in printed
    return printed


def test_a_folder_that_holds_a_run_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    assert "holds a run already" in refusal(capsys, "train", "digits", "--out", run)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(capsys, "train", "digits", "--out", tmp_path / "file" / "run")
    assert "there is a file of that name" in message


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--epochs", "-1"),
        ("--epochs", "0"),
        ("--epochs", "two"),
        ("--batch-size", "0"),
        ("--batch-size", "5000"),
        ("--lr", "-1"),
        ("--lr", "nan"),
        ("--lr", "inf"),
        ("--seed", "-1"),
        ("--threads", "0"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_made(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", "--out", str(tmp_path / "run"), f"{option}={value}"])
    assert ended.value.code == 2
    message = capsys.readouterr().err.splitlines()[0]
    assert option in message
    assert value in message
    assert "at least" in message
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_named_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = refusal(capsys, "train", "digits", "--out", tmp_path / "run")
    assert "pip install 'smelt-learn[plot]'" in message


def test_a_run_goes_on_by_its_own_settings(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--resume", str(run)]) == 0
    assert "the training was complete before" in capsys.readouterr().out
    assert "has no option --data" in refusal(capsys, "train", "--resume", run, "--data", tmp_path)
    assert "give a recipe (digits" in refusal(capsys, "train")
    for arguments, message in (
        (["--resume", str(run), "digits"], "digits cannot be combined with the options before it"),
        (["--resume", str(run), "--epochs", "4"], "--epochs is unknown; the options of digits"),
        (["digit"], "'digit' is unknown; there are digits, mnist"),
        (["digits", "--resume", str(run)], "--resume does not go with digits; write smelt train"),
    ):
        with pytest.raises(SystemExit):
            main(["train", *arguments])
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_explains_its_settings(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(part in text for part in ("--seed INT", "--out PATH", "--threads INT"))


def test_predict_refuses_what_is_no_image(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").write_text("not an image")
    assert "x.png: not an image" in refusal(capsys, "predict", run, tmp_path / "x.png")
    assert "no such file" in refusal(capsys, "predict", run, tmp_path / "absent.png")


def test_predict_says_that_an_image_far_from_square_is_squeezed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (90, 30), 255).save(tmp_path / "wide.png")
    Image.new("L", (40, 30), 255).save(tmp_path / "near.png")
    assert main(["predict", str(run), str(tmp_path / "wide.png"), str(tmp_path / "near.png")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "wide.png: 90 x 30 pixels are squeezed" in line


def test_predict_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not the folder of a run" in refusal(capsys, "predict", tmp_path, next(samples()))


def test_predict_refuses_damaged_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run", digits.make_model(), {"recipe": "digits"})
    folder.start(1)
    weights = folder.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "truncated" in refusal(capsys, "predict", folder.path, next(samples()))


def test_predict_refuses_the_run_of_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run", nn.Linear(1, 1), {"recipe": "poems"})
    folder.start(1)
    assert "'poems'" in refusal(capsys, "predict", folder.path, next(samples()))


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal on POSIX does")
def test_ctrl_c_ends_training_and_keeps_the_run_readable(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "smelt", "train", "digits"]
    process = subprocess.Popen(
        [*command, "--epochs", "1000000", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = folder / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no epoch came to an end"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - pressed < 5  # a busy machine; on a quiet one it takes 0.1 s
    assert (process.returncode, errors) == (130, "")
    epochs = len(read_metrics(folder))
    assert (
        f"stopped by Ctrl-C; the run folder has the model after {epochs} finished epochs" in output
    )
    assert f"-m smelt train --resume {folder}" in output
    assert json.loads((folder / "config.json").read_text())["epochs"] == 1_000_000
    read_model(folder, digits.make_model())


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "smelt", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"smelt {__version__}"
