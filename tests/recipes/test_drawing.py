"""The page for drawing digits: what is in it, and in Chromium what it reads and learns."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.cli import main
from smelt.data import load_digits
from smelt.errors import ArgumentError
from smelt.recipes import drawing_page

for library in ("cyclopts", "jinja2", "matplotlib", "safetensors"):
    pytest.importorskip(library)

ADDRESS = re.compile(r"(src|href)=|https?://(?!www\.w3\.org/2000/svg)|@import|url\(")


def network() -> nn.Sequential:
    smelt.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    train.fit(model, F.cross_entropy, optimizer, load_digits("train"), epochs=20, progress=False)
    return model


@pytest.fixture(scope="module")
def page(trained: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "draw.html"
    path.write_text(drawing_page(trained))
    return path


def data_of(page: Path) -> dict[str, Any]:
    """Returns what a page gives to its script."""
    found = re.search(r"^const DATA = (.*);$", page.read_text(), re.M)
    assert found is not None
    return json.loads(found[1])


def test_everything_is_in_the_page(page: Path) -> None:
    text = page.read_text()
    assert not ADDRESS.findall(text)
    assert "script-src 'unsafe-inline' 'wasm-unsafe-eval'" in text
    assert text.count("<script>") == 1
    assert "2,410 parameters" in text
    assert re.search(r"right for 9\d\.\d% of the digits", text)


def test_tensors_are_in_it_once(page: Path, trained: nn.Sequential) -> None:
    data = data_of(page)
    steps = [data[step][kind] for step in ("predict", "train") for kind in ("simd", "scalar")]
    modules = [base64.b64decode(step) for step in steps]
    assert all(module.startswith(b"\0asm") for module in modules)
    for name, value in trained.state_dict().items():
        given = data["tensors"][name]
        content = base64.b64decode(given["content"])
        np.testing.assert_array_equal(np.frombuffer(content, given["dtype"]), value.numpy().ravel())
        assert not any(content in module for module in modules)
    assert len(data["examples"]) == 30
    assert 15 < data["ink"] < 25


def test_the_model_stays_as_it_is() -> None:
    model = network()
    model[2].eval()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    drawing_page(model)
    assert [module.training for module in model] == [True, True, False, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_another_model_is_refused() -> None:
    with pytest.raises(ArgumentError, match="the model gives .360, 3.; it must give logits"):
        drawing_page(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))


def test_the_command_writes_it_into_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "digits", "--out", str(run), "--epochs", "1"]) == 0
    capsys.readouterr()
    assert main(["draw", str(run)]) == 0
    assert capsys.readouterr().out == f"page: {run / 'draw.html'}\n"
    assert "Draw a digit" in (run / "draw.html").read_text()
    (run / "config.json").write_text('{"recipe": "mnist"}')
    assert main(["draw", str(run)]) == 2
    message = capsys.readouterr().err
    assert "holds a run of 'mnist'; smelt draw works for runs of 'digits' only" in message


# --- in a browser ---------------------------------------------------------------------------------

Line = list[tuple[float, float]]


def arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> Line:
    angles = [math.radians(start + (end - start) * part / 24) for part in range(25)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


DIGITS: dict[int, list[Line]] = {
    0: [arc(0.5, 0.5, 0.22, 0.32, -90, 270)],
    1: [[(0.42, 0.3), (0.53, 0.18), (0.53, 0.82)]],
    3: [arc(0.48, 0.34, 0.19, 0.15, 200, 450) + arc(0.48, 0.64, 0.22, 0.17, -90, 160)],
    4: [[(0.5, 0.18), (0.3, 0.58), (0.72, 0.58)], [(0.62, 0.4), (0.6, 0.84)]],
    7: [[(0.32, 0.22), (0.7, 0.22), (0.46, 0.82)], [(0.4, 0.52), (0.66, 0.52)]],
}


@pytest.fixture
def browser() -> Iterator[Any]:
    """Yields Chromium, where it is."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    with api.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = driver.chromium.launch(executable_path=program, args=flags)
        yield chromium
        chromium.close()


def draw(tab: Any, lines: list[Line]) -> None:
    """Draws lines with the mouse, the middle half of the canvas wide."""
    tab.locator("#drawing").scroll_into_view_if_needed()
    box = tab.locator("#drawing").bounding_box()
    for line in lines:
        for number, (x, y) in enumerate(line):
            tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if number == 0:
                tab.mouse.down()
        tab.mouse.up()


def until(tab: Any, is_so: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_so():
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never came: {tab.inner_text('main')}")


@pytest.mark.parametrize("width", [1280, 390])
def test_in_chromium_it_reads_and_learns(
    browser: Any, page: Path, trained: nn.Sequential, width: int
) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(page.as_uri())
    until(tab, lambda: tab.locator("#curve text").count() > 0)
    assert tab.evaluate("document.documentElement.scrollWidth") == width

    for digit, lines in DIGITS.items():
        tab.click("#clear")
        draw(tab, lines)
        until(tab, lambda: tab.inner_text("#verdict") != "Draw a digit.")
        tab.wait_for_timeout(100)
        assert tab.inner_text("#verdict").startswith(f"It reads {digit},"), digit
        image = np.array(tab.evaluate("[...shown]"), np.float32).reshape(1, 8, 8)
        expected = F.softmax(trained(smelt.tensor(image)), dim=1).detach().numpy()
        chances = tab.evaluate("[...predict.step(shown)]")
        np.testing.assert_allclose(chances, expected[0], rtol=1e-4, atol=1e-6)
        assert np.sum(image) == pytest.approx(data_of(page)["ink"], abs=0.6)

    tab.click("[data-label='1']")  # the 7 that is drawn now
    assert "It reads 0 of your drawing right." in tab.inner_text("#progress")
    tab.click("#train")
    until(tab, lambda: tab.evaluate("losses.length") >= 10)
    until(tab, lambda: "It reads 1 of your drawing right." in tab.inner_text("#progress"))
    tab.click("#train")
    losses = tab.evaluate("losses")
    assert losses[-1] < losses[0] / 2
    points = tab.locator("#curve polyline").get_attribute("points")
    assert len(points.split()) == len(losses)
    draw(tab, DIGITS[7])
    until(tab, lambda: tab.inner_text("#verdict").startswith("It reads 1,"))
    tab.click("#forget")
    until(tab, lambda: tab.inner_text("#verdict").startswith("It reads 7,"))
    assert said == [page.as_uri()]
