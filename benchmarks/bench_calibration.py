"""How long calibrating the shipped data set takes. Run: pytest benchmarks -q -s"""

import time

from zpmodel.base import shipped
from zpmodel.calibration.fit import calibrate, resampled_costs
from zpmodel.datasets.measured import read_set


def test_a_full_data_set_with_1000_resamples(benchmark):
    data = read_set(shipped.data("fio", shipped.DEFAULT_DATA_SET))
    resampled_costs(data, resamples=2, seed=0)  # compile
    started = time.perf_counter()
    resampled_costs(data, resamples=20, seed=0)
    one = (time.perf_counter() - started) / 20
    benchmark.pedantic(calibrate, (data,), {"resamples": 1000}, rounds=3)
    whole = benchmark.stats.stats.median
    print(f"\n{len(data.writes)} runs, 1000 resamples: {whole:.1f} s, as long as {whole / one:.0f} single fits")
    assert whole < 10
