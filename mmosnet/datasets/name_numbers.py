"""Numbers for people and cameras that have names."""

from __future__ import annotations

from collections.abc import Iterable


def number_names(names: Iterable[str]) -> dict[str, int]:
    """Number names: a name that is a whole number keeps its value, if all names are and no two are the same number.

    Otherwise the names count from 1 in alphabetical order.
    """
    ordered = sorted(set(names))
    # Nine digits fit into every integer type.
    kept = {name: int(name) for name in ordered if name.isascii() and name.isdigit() and len(name) <= 9}
    if len(set(kept.values())) == len(ordered):
        return kept
    return {name: number for number, name in enumerate(ordered, start=1)}
