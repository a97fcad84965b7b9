"""How fast a machine-day of the on-demand folio's life is simulated. Run: pytest benchmarks -q -s"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import naive_lifetime

from zpmodel.memory.life.closed_form import Life, Users
from zpmodel.memory.life.simulate import simulate


def test_a_machine_day_at_1000_users_a_second(benchmark):
    life = Life(Users(1000.0, 0.005), scans_per_s=0.01, failure=0.1)
    simulate(life, seconds=1.0)  # compile
    started = time.perf_counter()
    slow_users = naive_lifetime.simulate(life, 60.0, 1)["users"]
    slow_rate = slow_users / (time.perf_counter() - started)
    benchmark.pedantic(simulate, (life,), rounds=3)
    day = benchmark.stats.stats.min
    fast_rate = simulate(life).users / day
    print(f"\none machine-day in {day:.2f} s: {fast_rate:,.0f} users/s, {fast_rate / slow_rate:.0f} times plain Python")
    assert day < 1
    assert fast_rate > 50 * slow_rate
