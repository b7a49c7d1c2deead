"""What a measurement has to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """What is demanded of a case, or of all cases of a row.

    Attributes:
        ratio: The peer's time over ours, at least, in every case.
        mean_ratio: The geometric mean of a row's ratios, at least.
        seconds: Ours, at most.
        at_most: Upper bounds on facts, as ``{'peak GiB': 0.5}``.
    """

    ratio: float | None = None
    mean_ratio: float | None = None
    seconds: float | None = None
    at_most: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = []
        if self.ratio is not None:
            parts.append(f'>= {self.ratio:g}x')
        if self.seconds is not None:
            parts.append(f'< {self.seconds:g} s')
        parts += [f'{name} < {bound:g}' for name, bound in self.at_most.items()]
        return ', '.join(parts)

    def reached(self, ratio: float | None, seconds: float, facts: Mapping[str, float]) -> bool | None:
        """Whether a case reached it; None if nothing is demanded, or nothing of it was measured.

        Args:
            ratio: Of the case, None without a peer.
            seconds: Ours.
            facts: Of the case.
        """
        answers = []
        if self.ratio is not None and ratio is not None:
            # To the digits that the table shows.
            answers.append(round(ratio, 2) >= self.ratio)
        if self.seconds is not None:
            answers.append(seconds < self.seconds)
        answers += [facts[name] < bound for name, bound in self.at_most.items() if name in facts]
        demands = (self.ratio is not None) + (self.seconds is not None) + len(self.at_most)
        if not all(answers):
            return False
        return True if answers and len(answers) == demands else None
