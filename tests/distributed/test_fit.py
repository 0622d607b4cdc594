"""`fit` on several ranks: the training of one process, whatever the number of ranks is."""

import json

import numpy as np
import pytest

from tests.distributed.launcher import LONG, run


def close(own, other):
    np.testing.assert_allclose(own["losses"], other["losses"], rtol=1e-6, atol=1e-6)
    for a, b in zip(own["weights"], other["weights"], strict=True):
        # Adam divides by the root of a mean square, so that where gradients are small so is this
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-5)
    assert own["generator"] == other["generator"]
    for a, b in zip(own["held_out"], other["held_out"], strict=True):
        assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "samples"), [("arrays", 101), ("dataset", 75), ("loader", 75), ("accumulate", 83)]
)
def test_ranks_fit_as_one_process_does_also_where_they_do_not_divide(kind, samples, tmp_path):
    counts = (1, 2, 3) if LONG else (1, 2)
    outcomes = [
        run(count, "fitting", kind, samples, 3, "-", folder=tmp_path / str(count))
        for count in counts
    ]
    alone = outcomes[0].ranks[0]
    assert alone["losses"][-1] < alone["losses"][0]
    for outcome in outcomes[1:]:
        assert len({rank["bits"] for rank in outcome.ranks}) == 1
        close(outcome.ranks[0], alone)
        assert all(rank["told"] == [1, 2, 3] for rank in outcome.ranks)
        assert outcome.output.count("epoch 1/3") == 1, outcome.output
        if kind in ("dataset", "loader"):  # each rank reads its part: all of it once an epoch
            # and a copy of a sample where a rank has none of a batch's
            read = [rank["read"] for rank in outcome.ranks]
            assert 3 * samples <= sum(read) <= 3 * samples + 3 * len(read)


@pytest.mark.parametrize("mode", ["plain", "sharded"])
def test_what_changes_gradients_rates_and_losses_does_so_as_in_one_process(mode, tmp_path):
    alone = run(1, "combined", "plain", folder=tmp_path / "1").ranks[0]["found"]
    assert len({json.dumps(one["losses"]) for one in alone.values()}) == len(alone)
    for count in (2, 3) if LONG else (2,):
        ranks = run(count, "combined", mode, folder=tmp_path / str(count)).ranks
        for name, expected in alone.items():
            own = ranks[0]["found"][name]
            assert len({rank["found"][name]["bits"] for rank in ranks}) == 1, name
            np.testing.assert_allclose(
                own["losses"], expected["losses"], rtol=1e-6, atol=1e-6, err_msg=name
            )
            for a, b in zip(own["weights"], expected["weights"], strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=5e-6, err_msg=name)
            for a, b in zip(own["held_out"], expected["held_out"], strict=True):
                assert a == pytest.approx(b, abs=1e-5), name
            assert own["rate"] == expected["rate"], name
            assert own["generator"] == expected["generator"], name


def test_a_rank_without_samples_of_a_batch_counts_nothing(tmp_path):
    alone, three = (
        run(count, "fitting", "arrays", 98, 2, "-", folder=tmp_path / str(count)).ranks
        for count in (1, 3)
    )  # of 16 samples a batch; the last one has 2
    close(three[0], alone[0])


@pytest.mark.parametrize("kind", ["arrays", "sharded", "deterministic"])
def test_a_run_of_four_ranks_goes_on_with_two_and_with_one(kind, tmp_path):
    samples = 96 if kind == "deterministic" else 90
    counts = (4, 2, 1) if LONG or kind == "deterministic" else (2, 1)
    whole = run(1, "fitting", kind, samples, len(counts), "-", folder=tmp_path / "whole").ranks[0]
    for epochs, count in enumerate(counts, 1):
        outcome = run(count, "fitting", kind, samples, epochs, "run", folder=tmp_path / "parts")
        assert sorted(path.name for path in (tmp_path / "parts" / "run").iterdir()) == [
            "checkpoint.safetensors", "config.json", "metrics.jsonl", "model.safetensors",
            "predictions.safetensors", "summary.json", "times.jsonl",
        ]  # fmt: skip
    lines = (tmp_path / "parts" / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(counts) + 1))
    last = outcome.ranks[0]
    close(last, whole)
    if kind == "deterministic":
        assert last["bits"] == whole["bits"]
        assert last["losses"] == whole["losses"]


def test_each_rank_holds_a_part_of_the_moments(tmp_path):
    ranks = run(2, "fitting", "sharded", 64, 1, "-", folder=tmp_path).ranks
    alone = run(1, "fitting", "arrays", 64, 1, "-", folder=tmp_path / "alone").ranks[0]
    assert ranks[0]["state"] == alone["state"]
    parameters = sum(len(x) for x in alone["weights"])
    assert [rank["held"] for rank in ranks] == [2 * -(-parameters // 2)] * 2
    close(ranks[0], alone)
