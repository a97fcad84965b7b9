"""How far submission and device overlap: operations that go round between a CPU, a device and a latency.

N operations are kept in flight. Each takes the submitting CPU (one server), the device's data path (one server:
bandwidth, descriptors), and a latency that it does not compete for. How completions come back decides how far these
overlap:

- one by one: a closed queueing network. Mean value analysis is exact for exponential service (Reiser and Lavenberg
  1980).
- in rounds: the device reports all N together (a shared interrupt, a queue drained at once), so a round is a
  pipeline of N through CPU and device, and the latency is paid once a round.

Both are the same for one in flight. Real queues lie between; how far is fitted. Neither ever passes the asymptotic
bound X <= min(1 / max D, N / (L + sum D)) (Denning and Buzen 1978), which holds whatever the distributions.
"""

from zpmodel.base.accelerate import kernel

# mypy: disable-error-code="no-untyped-def"


@kernel
def mva_rate(cpu, link, latency, depth):
    """Operations per second [1/s] when completions come one by one: exact MVA of two queues and a delay, times in
    [s]."""
    at_cpu, at_link, rate, before = 0.0, 0.0, 0.0, -1.0
    for n in range(1, depth + 1):
        in_cpu = cpu * (1.0 + at_cpu)
        in_link = link * (1.0 + at_link)
        rate = n / (in_cpu + in_link + latency)
        if rate == before:
            break  # the busier queue never empties any more; all that follow add less than 1e-13 together
        before = rate
        at_cpu = rate * in_cpu
        at_link = rate * in_link
    return rate


@kernel
def round_rate(cpu, link, latency, depth):
    """Operations per second [1/s] when all completions come together: a pipeline of ``depth``, times in [s]."""
    return depth / (latency + cpu + link + (depth - 1) * max(cpu, link))


@kernel
def rate_bound(cpu, link, latency, depth):
    """The asymptotic upper bound [1/s]: the busiest server, or everything in turn for each of ``depth``; times in
    [s]."""
    return min(1.0 / max(cpu, link), depth / (cpu + link + latency))


@kernel
def steady_rate(cpu, link, latency, depth, rounds):
    """Operations per second [1/s] of a closed loop; ``rounds`` from 0 (one by one) to 1 (all together), times in
    [s]."""
    one_by_one = mva_rate(cpu, link, latency, depth)
    return one_by_one ** (1.0 - rounds) * round_rate(cpu, link, latency, depth) ** rounds


def bound_by(cpu: float, link: float, latency: float, depth: int) -> str:
    """Name what limits a closed loop: ``submission`` (CPU), ``device`` (data path) or ``latency`` (too few in
    flight)."""
    if depth / (cpu + link + latency) < 1 / max(cpu, link):
        return "latency"
    return "submission" if cpu >= link else "device"
