"""Five networks on several ranks: equal bits on all, and those of one process.

`SMELT_LONG=1` trains 200 steps, on 4 ranks too.
"""

import numpy as np
import pytest

from tests.distributed.launcher import LONG, run

STEPS, COUNTS = (200, (2, 4)) if LONG else (20, (2,))
MODES = {"mlp": "plain", "cnn": "sync", "lstm": "plain", "transformer": "plain", "gan": "plain"}


@pytest.mark.parametrize("name", MODES)
def test_ranks_train_as_one_process_does(name, tmp_path):
    alone = run(1, "networks", name, STEPS, MODES[name], folder=tmp_path / "1").ranks[0]
    assert alone["losses"][-1] != alone["losses"][0]
    for count in COUNTS:
        ranks = run(count, "networks", name, STEPS, MODES[name], folder=tmp_path / str(count)).ranks
        assert len({rank["bits"] for rank in ranks}) == 1, "the ranks hold different bits"
        np.testing.assert_allclose(ranks[0]["losses"], alone["losses"], rtol=0, atol=1e-6)
        for own, other in zip(ranks[0]["weights"], alone["weights"], strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-6, atol=2e-6)
        assert ranks[0]["generator"] == alone["generator"]


@pytest.mark.parametrize("name", MODES)
def test_deterministic_training_does_not_depend_on_the_number_of_ranks(name, tmp_path):
    outcomes = [
        run(count, "networks", name, STEPS, "deterministic", folder=tmp_path / str(count)).ranks
        for count in (1, *COUNTS)
    ]
    bits = {rank["bits"] for ranks in outcomes for rank in ranks}
    assert len(bits) == 1
    assert outcomes[0][0]["losses"][-1] != outcomes[0][0]["losses"][0]
