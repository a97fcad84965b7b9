"""What a chart shows, in a sentence, from its specification: the text for who can't see it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Spec = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

_MANY = 6  # names that are listed one by one


def title_of(spec: Spec) -> tuple[str, str]:
    """Title and subtitle; empty where there is none."""
    title = spec.get("title", "")
    if isinstance(title, Mapping):
        return _joined(title.get("text", "")), _joined(title.get("subtitle", ""))
    return _joined(title), ""


def describe(spec: Spec) -> str:
    """Title, axes with their range, panels and series of a chart."""
    title, subtitle = title_of(spec)
    said = [f"{title or 'Chart'}{f' ({subtitle})' if subtitle else ''}."]
    done = set()
    for unit, rows in _units(spec, spec.get("datasets", {}), ()):
        encoding = unit.get("encoding", {})
        axes = [text for name in ("y", "x") if (text := _axis(encoding.get(name), encoding.get(name + "2"), rows))]
        if len(axes) == 2 and tuple(axes) not in done:
            done.add(tuple(axes))
            said.append(f"{axes[0][0].upper()}{axes[0][1:]}, against {axes[1]}.")
        for channel, word in (("facet", "One panel each"), ("column", "One panel each"), ("color", "Series")):
            names = _names(encoding.get(channel), rows)
            line = f"{word}: {names}."
            if names and line not in said:
                said.append(line)
    return " ".join(said)


def _units(spec: Spec, datasets: Mapping[str, Any], rows: Rows) -> Iterator[tuple[Spec, Rows]]:
    """Every view with the rows that it draws; a facet counts as a view without marks."""
    data = spec.get("data")
    if isinstance(data, Mapping):
        rows = datasets.get(data.get("name", ""), data.get("values", rows))
    facet = spec.get("facet")
    if isinstance(facet, Mapping):
        yield {"encoding": {"facet": facet.get("column", facet)}}, rows
    if isinstance(spec.get("spec"), Mapping):
        yield from _units(spec["spec"], datasets, rows)
    for kind in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(kind, ()):
            # A layer inherits what the views around it encode.
            around = spec.get("encoding", {})
            yield from _units({**part, "encoding": {**around, **part.get("encoding", {})}}, datasets, rows)
    if "mark" in spec:
        yield spec, rows


def _axis(channel: Any, other: Any, rows: Rows) -> str:
    if not isinstance(channel, Mapping):
        return ""
    field = channel.get("field", "")
    label = _joined(channel.get("title") or field or channel.get("aggregate", ""))
    if channel.get("aggregate"):
        return label
    fields = [field, other.get("field", "") if isinstance(other, Mapping) else ""]
    values = [row[name] for name in fields for row in rows if name in row]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if channel.get("type") == "quantitative" and numbers:
        return f"{label} from {min(numbers):.3g} to {max(numbers):.3g}"
    names = _names(channel, rows)
    return f"{label}: {names}" if names else label


def _names(channel: Any, rows: Rows) -> str:
    field = channel.get("field", "") if isinstance(channel, Mapping) else ""
    names = list(dict.fromkeys(str(row[field]) for row in rows if row.get(field) is not None))
    if len(names) > _MANY:
        return f"{len(names)} from {names[0]} to {names[-1]}"
    return ", ".join(names)


def _joined(text: Any) -> str:
    return " ".join(text) if isinstance(text, list) else str(text)
