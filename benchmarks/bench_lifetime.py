"""Time a machine-day of the on-demand folio's life at 1000 users/s, against the plain Python version.

Run from the checkout: ``python benchmarks/bench_lifetime.py``.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import naive_lifetime

from zpmodel.memory.lifetime import Life, Users
from zpmodel.memory.lifetime_events import simulate


def main() -> None:
    life = Life(Users(1000.0, 0.005), scans_per_s=0.01, failure=0.1)
    simulate(life, seconds=1.0)
    day = min(_seconds(lambda: simulate(life)) for _ in range(3))
    users = simulate(life).users
    slow_s = 60.0
    slow_users = naive_lifetime.simulate(life, slow_s, 1)["users"]
    slow = min(_seconds(lambda: naive_lifetime.simulate(life, slow_s, 1)) for _ in range(3))
    fast_rate, slow_rate = users / day, slow_users / slow
    print(f"one machine-day, {users:,} users: {day:.2f} s")
    print(f"users/s: compiled {fast_rate:,.0f}, plain Python {slow_rate:,.0f}: {fast_rate / slow_rate:.0f} times")


def _seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
