"""The page of the two trips shows what the compiler does today."""

from __future__ import annotations

from script import trips

PAGE = trips.PAGE.read_text("utf-8")


def test_the_page_shows_what_is_printed():
    assert trips.written(PAGE) == PAGE, "python script/trips.py --write, then read the page again"


def test_every_piece_stands_in_the_page_once():
    shown = [match.group(2, 3) for match in trips.PIECE.finditer(PAGE)]
    pieces = [("product", stage) for stage in trips.PRODUCT]
    assert shown == [*pieces, *(("lstm", stage) for stage in trips.LSTM)]
