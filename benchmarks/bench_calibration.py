"""How long calibrating the shipped data set takes. Run: pytest benchmarks -q -s"""

from zpmodel.base import shipped
from zpmodel.calibration.calibrate import fit_machine
from zpmodel.datasets import read_data_set


def test_a_full_data_set_with_1000_draws(benchmark):
    data = read_data_set(shipped.data("fio", shipped.DEFAULT_DATA_SET))
    fit_machine(data, 20)  # compile
    benchmark.pedantic(fit_machine, (data, 1000), rounds=3)
    whole = benchmark.stats.stats.median
    print(f"\n{len(data.writes)} runs, 1000 draws: {whole:.1f} s")
    assert whole < 5
