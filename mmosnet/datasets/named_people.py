"""The base of the user's own data: people under names, in folders, tables and annotation files."""

from __future__ import annotations

from mmosnet.datasets.reid_dataset import JUNK_PID, ReIDDataset
from mmosnet.io.media import same_name
from mmosnet.io.tables import UNKNOWN, alike_text, number_names


class NamedPeople(ReIDDataset):
    """People with names: the same name is the same person in all splits.

    A pid is a name's number by :func:`number_names` over all splits, so that a training set and a test set that are
    built apart agree; :attr:`pid_names` leads back. Names are equal if they are written alike, whatever the spelling of
    their accents in Unicode (NFC); a warning names those that differ in capitals, blanks or zeros in front alone, who
    are two people. The name -1 is nobody: such images are left out. People in the gallery whom no query asks for need
    not be told apart and may share a name.

    Args: as :class:`~mmosnet.datasets.ReIDDataset`.
    """

    distractor_pid = None
    shared_pids = True

    def list_people(self) -> list[dict]:
        """List the images of all splits as records ``dict(name, camid, split, img_path, ...)``, in a fixed order."""
        raise NotImplementedError

    def is_wanted(self, split: str) -> bool:
        """Return whether the images of a split are used and must exist."""
        return split in self.splits or self.combineall

    def load_data_list(self) -> list[dict]:
        """Assign numbers to the people, then load as the base class does."""
        self._people = [person | dict(name=same_name(person['name'])) for person in self.list_people()]
        names = {person['name'] for person in self._people} - {*UNKNOWN}
        text = alike_text(names)
        if text:
            self.note(text)
        self._numbers = number_names(names)
        self.pid_names = {pid: name for name, pid in self._numbers.items()}
        records = super().load_data_list()
        del self._people, self._numbers
        return records

    def load_split(self, split: str) -> list[dict]:
        """Pick one split; see the base class."""
        return [
            {key: value for key, value in person.items() if key not in ('name', 'split')}
            | dict(pid=self._numbers.get(person['name'], JUNK_PID))
            for person in self._people
            if person['split'] == split
        ]
