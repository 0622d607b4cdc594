"""The sizes of caches: as the system tells, as SMELT_CACHES says, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.compiler.codegen import caches
from smelt.compiler.codegen.caches import cache_sizes
from smelt.compiler.cpu import AVX2, AVX512, CPU
from smelt.errors import ArgumentError


def written(folder: Path, *found: tuple[str, str, str]) -> Path:
    for number, texts in enumerate(found):
        cache = folder / f"index{number}"
        cache.mkdir()
        for name, text in zip(("level", "type", "size"), texts, strict=True):
            (cache / name).write_text(f"{text}\n")
    return folder


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(caches.GIVEN, raising=False)
    monkeypatch.setattr(caches.sys, "platform", "linux")


def test_linux_tells_by_files(tmp_path: Path) -> None:
    levels = ("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2048K")
    assert cache_sizes(written(tmp_path, *levels, ("3", "Unified", "480M"))) == (48 << 10, 2 << 20)


def test_where_nobody_tells_there_are_none(tmp_path: Path) -> None:
    assert cache_sizes(tmp_path / "nothing") is None
    assert cache_sizes(written(tmp_path, ("1", "Data", "48K"), ("2", "Unified", ""))) is None


def test_they_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(caches.GIVEN, "32K, 1M")
    assert cache_sizes() == (32 << 10, 1 << 20)


@pytest.mark.parametrize("text", ["", "32K", "32K,512K,8M", "32K,much", "0,512K", "-1,5"])
def test_what_names_no_two_sizes_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(caches.GIVEN, text)
    with pytest.raises(ArgumentError, match=r"SMELT_CACHES=.*: write two sizes"):
        cache_sizes()


def test_a_panel_takes_half_of_the_second_cache_within_bounds() -> None:
    sizes = [replace(AVX2, second_cache=kib << 10).panel_bytes >> 10 for kib in (64, 512, 4096)]
    assert sizes == [128, 256, 512]
    assert "caches of 32 and 512 KiB" in str(AVX512)


@pytest.mark.parametrize("small", [replace(AVX2, first_cache=4096, second_cache=8192), AVX2])
def test_products_are_right_whatever_the_caches(small: CPU, monkeypatch) -> None:
    monkeypatch.setattr("smelt.compiler.pipeline.host_cpu", lambda: small)
    depth = 5000 + small.first_cache // 4096  # another one each: what is compiled once is kept
    a, b = smelt.randn(70, depth), smelt.randn(depth, 70)
    wanted = a.numpy().astype(np.float64) @ b.numpy()
    got = smelt.compile(lambda a, b: a @ b)(a, b)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=1e-3)
