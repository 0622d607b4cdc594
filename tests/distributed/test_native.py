from smelt.compiler.runtime.executable import SLICE_SECONDS
from tests.distributed.launcher import run

STEPS = 10_000


def test_many_steps_are_few_native_calls_without_the_gil(tmp_path):
    for count in (1, 2):
        for rank in run(count, "native", STEPS, folder=tmp_path / str(count)).ranks:
            assert rank["losses"] == STEPS
            # a call is meant to take 50 ms, by what the steps before took; here others work too
            assert rank["calls"] <= 8 + 4 * rank["seconds"] / SLICE_SECONDS, rank
            assert rank["calls"] < STEPS / 10, rank
            # a thread that sleeps for a millisecond at a time has its turn meanwhile
            assert rank["turns"] + 10 >= 0.1 * rank["seconds"] / 0.001, rank
