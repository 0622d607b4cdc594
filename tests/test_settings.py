"""The switches."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import smelt
from smelt.errors import ArgumentError
from smelt.settings import current, settings
from smelt.tracing.check_nan import CheckedEager
from smelt.tracing.engine import EAGER, context

START = {
    "check_nan": False,
    "compile": True,
    "full_traceback": False,
    "threads": None,
    "verify": False,
}


def test_a_switch_holds_for_its_block() -> None:
    with settings(compile=False, threads=2):
        assert settings.get() == {**START, "compile": False, "threads": 2}
        with settings(verify=True):
            assert settings.get() == {**START, "compile": False, "threads": 2, "verify": True}
    assert settings.get() == START


def test_an_error_puts_the_switch_back() -> None:
    with pytest.raises(ZeroDivisionError), settings(compile=False):
        raise ZeroDivisionError
    assert current.compile


def test_settings_decorate_functions_and_can_be_used_twice() -> None:
    eager = settings(compile=False)

    @eager
    def look() -> bool:
        with eager:
            pass
        return current.compile

    assert look() is look() is False
    assert current.compile


def test_a_switch_belongs_to_its_thread() -> None:
    found = []
    with settings(compile=False):
        thread = threading.Thread(target=lambda: found.append(settings.get()))
        thread.start()
        thread.join()
    assert found == [START]


def test_the_package_shows_the_switches() -> None:
    assert smelt.settings is settings
    assert smelt.settings.current is current


@pytest.mark.parametrize("threads", [0, -2, "two", 1.5])
def test_what_is_no_number_of_threads_is_refused(threads: Any) -> None:
    with pytest.raises(ArgumentError, match=f"threads must be .* got {threads!r}"):
        settings(threads=threads)


def test_the_check_stands_in_the_place_of_the_eager_engine_while_it_is_on() -> None:
    assert context.engine is EAGER
    with settings(check_nan=True):
        checked = context.engine
        assert isinstance(checked, CheckedEager)
        with settings(check_nan=True, threads=2):
            assert context.engine is checked
        with settings(check_nan=False):
            assert context.engine is EAGER
    assert context.engine is EAGER


@pytest.mark.parametrize("given", [1, "count", "yes"])
def test_a_check_that_is_no_bool_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match=f"check_nan must be True or False, got {given!r}"):
        settings(check_nan=given)
