"""Question 9: the users by what is left to convert."""

from zpmodel.study.answers.base import Answer, Asked, Figure
from zpmodel.study.answers.gain import rests
from zpmodel.study.conversions import WORTH_SHARE, Gain, gains


def ranking(asked: Asked) -> Answer:
    """Question 9."""
    left, done = gains(asked.machine, "left to do"), gains(asked.machine, "done by 7.3")
    worth, perhaps, hardly, rest, unknown = (
        [item for item in left if item.worth.startswith(word)] for word in ("yes", "perhaps", "hardly", "no:", "not ")
    )
    lost = [item for item in gains(asked.machine, "option off since 6.12") if item.verdict == "loses"]
    figures = [
        Figure(f"{step}, {item.user}: CPU time saved for each GiB", item.cpu_saved_s.scaled(1e3), "ms")
        for step, items in (("left to do", left), ("done by 7.3", done))
        for item in items
        if item.cpu_saved_s is not None and (step == "left to do" or item.verdict == "gains")
    ]
    first = ", then ".join(_said(item) for item in worth) or "none"
    says = f"Worth a patch (surely {WORTH_SHARE:.0%} of the user's CPU time or more): {first}. "
    if perhaps:
        says += f"Perhaps: {'; '.join(_said(item) for item in perhaps)}. "
    if hardly:
        says += f"Hardly (asking for vectors by the folio's size): {'; '.join(_said(item) for item in hardly)}. "
    if rest:
        says += f"Not: {', '.join(item.user for item in rest)}. "
    if unknown:
        says += f"Not known: {', '.join(item.user for item in unknown)}. "
    gained = ", ".join(item.user for item in done if item.verdict == "gains")
    says += f"Converted and gaining already: {gained or 'none that is known'}."
    if lost:
        says += f" Without the option {', '.join(item.user for item in lost)} loses since 6.19."
    return Answer(
        9,
        says,
        tuple(figures),
        f"each user's loop counted exactly in its typical request; {rests(asked.machine)}",
        f"zpmodel callers {asked.options()}",
        "a user's requests are unlike the typical one, or blk-crypto's fallback encrypts (then pages are scattered)",
        "how often each user zeroes: no distribution has been published but ext4's",
    )


def _said(item: Gain) -> str:
    saved = item.cpu_saved_s
    return item.user if saved is None else f"{item.user} ({saved.scaled(1e3)} ms for each GiB)"
