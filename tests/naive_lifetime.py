"""The on-demand folio's life, slowly and obviously: a queue of departures, every pass of the shrinker drawn."""

import heapq
import random

from zpmodel.memory.life.closed_form import Life


def simulate(life: Life, seconds: float, seed: int) -> dict[str, float]:
    rng = random.Random(seed)
    users = life.users
    counter, present_since, held = 0, 0.0, 0.0  # counter as the kernel's: 0 none, 1 the shrinker's own, 2 and more used
    departures: list[float] = []
    arrived = allocated = failed = racing = 0
    busy_until = 0.0
    now = 0.0
    arrival = rng.expovariate(users.per_s)
    scan = rng.expovariate(life.scans_per_s) if life.scans_per_s else float("inf")
    while True:
        leaves = departures[0] if departures else float("inf")
        now = min(arrival, scan, leaves)
        if now >= seconds:
            break
        if now == leaves:
            heapq.heappop(departures)
            counter -= 1
        elif now == scan:
            if counter == 1:
                counter = 0
                held += now - present_since
            scan = now + rng.expovariate(life.scans_per_s)
        else:
            arrived += 1
            racing += now < busy_until
            if counter == 0 and rng.random() < life.failure:
                failed += 1
            else:
                if counter == 0:
                    counter, present_since = 1, now
                    allocated += 1
                    busy_until = now + life.clear_ns * 1e-9 + rng.expovariate(1e9 / life.allocate_ns)
                counter += 1
                hold = rng.expovariate(1 / users.hold_s) if users.shape == "exponential" else users.hold_s
                heapq.heappush(departures, now + hold)
            arrival = now + rng.expovariate(users.per_s)
    if counter:
        held += seconds - present_since
    return {
        "users": arrived,
        "fallback_share": failed / max(arrived, 1),
        "allocations_per_hour": allocated / seconds * 3600,
        "racing_per_hour": racing / seconds * 3600,
        "held_share": held / seconds,
    }
