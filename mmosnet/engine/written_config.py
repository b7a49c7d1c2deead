"""A config that is laid out as text once, however often a run writes it."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmosnet.whole_file import whole_file


class WrittenConfig(Config):
    """A config that remembers its text for as long as its settings stay the same.

    The start of a run writes its config five times, to the log, to files and into the checkpoint. mmengine's
    ``Config`` formats it anew each time, a third of a second in all.

    Args:
        cfg: The config to take over.
    """

    def __init__(self, cfg: Config) -> None:
        # As pickle would: nothing of a config is left out, imports of the new style neither.
        self.__setstate__(cfg.__getstate__())

    def __setstate__(self, state: tuple) -> None:
        """Restore the settings of a config; its text is formatted when it is needed."""
        super().__setstate__(state)
        # Past Config.__setattr__, which makes settings.
        self.__dict__['_written'] = {}

    def dump(self, file: str | Path | None = None) -> str | None:
        """Write the settings to a file, completely or not at all, or return them as text."""
        if file is None:
            return super().dump()
        with whole_file(file) as draft:
            return super().dump(draft)

    @property
    def pretty_text(self) -> str:
        """Settings as formatted Python."""
        settings = repr(self)
        if settings not in self._written:
            self._written.clear()
            self._written[settings] = super().pretty_text
        return self._written[settings]
