"""A closed loop of operations as a discrete-event simulation: every arrival and departure is an event on a heap."""

import heapq
import itertools
import random


def one_by_one_rate(cpu: float, link: float, latency: float, depth: int, operations: int, seed: int) -> float:
    """Operations per second where each completion is handled by itself: exponential CPU and link, exponential delay."""
    rng = random.Random(seed)
    ticket = itertools.count()
    queues: dict[str, list[int]] = {"cpu": [], "link": []}
    busy = {"cpu": False, "link": False}
    mean = {"cpu": cpu, "link": link}
    events: list[tuple[float, int, str]] = []
    done, now = 0, 0.0

    def start(station: str) -> None:
        if queues[station] and not busy[station]:
            queues[station].pop(0)
            busy[station] = True
            heapq.heappush(events, (now + rng.expovariate(1 / mean[station]), next(ticket), station))

    queues["cpu"] = list(range(depth))
    start("cpu")
    warm_up, started = operations // 10, 0.0
    while done < operations:
        now, _, what = heapq.heappop(events)
        if what == "cpu":
            busy["cpu"] = False
            queues["link"].append(0)
        elif what == "link":
            busy["link"] = False
            heapq.heappush(events, (now + (rng.expovariate(1 / latency) if latency else 0.0), next(ticket), "back"))
        else:
            queues["cpu"].append(0)
            done += 1
            if done == warm_up:
                started = now
        start("cpu")
        start("link")
    return (operations - warm_up) / (now - started)


def round_rate(cpu: float, link: float, latency: float, depth: int) -> float:
    """Operations per second where a round of ``depth`` passes CPU and link in turn, and completes together."""
    cpu_free = link_free = 0.0
    for _ in range(depth):
        cpu_free += cpu
        link_free = max(link_free, cpu_free) + link
    return depth / (link_free + latency)
