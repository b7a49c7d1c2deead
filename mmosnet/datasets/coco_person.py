"""The user's own frames: people as boxes in whole images, annotated in COCO format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmosnet.datasets.named_people import NamedPeople
from mmosnet.datasets.reid_dataset import SPLITS
from mmosnet.errors import DataError
from mmosnet.io.coco import COCO_FIELDS, CocoFile, compressed_mask, frame_size, read_coco
from mmosnet.io.regions import BoxCounts, box_with_margin, region_path
from mmosnet.io.tables import identity, image_inside, number_names
from mmosnet.registry import DATASETS


@DATASETS.register_module()
class CocoPerson(NamedPeople):
    """People as boxes in frames: COCO-format JSON with an identity and a camera for each annotation.

    Crops are cut when they are read; a record's ``img_path`` names frame and region
    (:mod:`mmosnet.io.regions`), so every pipeline with ``LoadPersonImage`` works as for single crops.
    mmdet's ``CocoDataset`` gives whole frames with all their boxes and knows no identities.

    Identity, camera and split are fields of the annotation itself, or of its ``attributes`` as CVAT exports them;
    camera and split may also be fields of the image. Identities and cameras are numbers or names
    (:func:`~mmosnet.io.tables.number_names`); the identity -1 is nobody. The same identity is the same
    person in all files and frames: track numbers that start anew with each video are no identities.

    The splits come from one file each (``ann_files``), or from one file (``ann_file``) with a field ``split``: train,
    query or gallery. Files that are given are read and checked whatever ``split`` is loaded, frames only for what is.

    A box that reaches beyond its frame is clipped; one wholly outside is an error, as are boxes that are corners.
    Annotations with ``iscrowd`` are groups and are left out with a warning, as are those of other categories. Every
    other field of the user's goes into the record's ``attributes``, and its name into ``metainfo['attribute_names']``.

    Args:
        ann_file: One file for all splits, relative to ``data_root``.
        ann_files: Instead, a file for each split: ``dict(train='train.json', query=..., gallery=...)``.
        id_key: Field of the identity, ``'track_id'`` for instance.
        camera_key: Field of the camera.
        split_key: Field of the split; only read with ``ann_file``.
        category: Name of the category of people, where the file has others too; None takes all annotations.
        margin: Added around a box on each side, as a share of its width and height.
        mask_background: Paint everything outside the segmentation (polygons or run lengths) in ImageNet's mean color.
        **kwargs: Same as in :class:`~mmosnet.datasets.ReIDDataset`. ``data_prefix=dict(img_path='frames')`` is the
            folder that ``file_name`` is relative to, by default the data root.

    Raises:
        FileNotFoundError: No such annotation file.
        DataError: Names file, annotation, value and what it should be.
    """

    def __init__(
        self,
        *args,
        ann_file: str = '',
        ann_files: Mapping[str, str] | None = None,
        id_key: str = 'person_id',
        camera_key: str = 'camera_id',
        split_key: str = 'split',
        category: str | None = None,
        margin: float = 0.0,
        mask_background: bool = False,
        **kwargs,
    ) -> None:
        if bool(ann_file) == bool(ann_files):
            raise DataError(
                "CocoPerson: give either ann_file='all.json', with a field 'split', or "
                "ann_files=dict(train='train.json', query='query.json', gallery='gallery.json')"
            )
        unknown = sorted(set(ann_files or {}) - set(SPLITS))
        if unknown:
            raise DataError(f'CocoPerson: ann_files names {", ".join(unknown)}; the splits are {", ".join(SPLITS)}')
        if not 0 <= margin <= 10:
            raise DataError(f'CocoPerson: margin={margin} must be a share of the box, from 0 to 10')
        self.ann_files = dict(ann_files or {})
        self.id_key, self.camera_key, self.split_key = id_key, camera_key, split_key
        self.category = category
        self.margin = margin
        self.mask_background = mask_background
        super().__init__(*args, ann_file=ann_file, **kwargs)

    def list_people(self) -> list[dict]:
        """Read and check all annotation files; see the base class. Boxes are not yet regions."""
        files = {split: str(Path(self.data_root) / name) for split, name in self.ann_files.items()}
        people = [
            person
            for split, path in (files or {None: self.ann_file}).items()
            for person in self._people_of(read_coco(path), split)
        ]
        cameras = number_names(person['camera'] for person in people)
        for person in people:
            person['camid'] = cameras[person.pop('camera')]
        names = {name for person in people for name in person['attributes']}
        self._metainfo['attribute_names'] = sorted(names)
        return people

    def _people_of(self, coco: CocoFile, split: str | None) -> Iterator[dict]:
        for annotation in coco.people(self.category, self.note):
            yield self._person(coco, annotation, split)

    def _person(self, coco: CocoFile, annotation: dict, split: str | None) -> dict:
        place, image = coco.place(annotation), coco.images[annotation['image_id']]
        own = annotation.get('attributes') or {}
        if not isinstance(own, dict):
            raise DataError(f'{place}: attributes {str(own)[:60]!r} are no object')
        name = identity(_field(self.id_key, (annotation, own), place, 'id_key'), f'{place}: {self.id_key}')
        camera = _field(self.camera_key, (annotation, own, image), place, 'camera_key')
        camera = identity(camera, f'{place}: {self.camera_key}')
        if camera == -1:
            raise DataError(
                f'{place}: {self.camera_key} is -1, but the camera must be known; give it a number or a name'
            )
        if split is None:
            split = _field(self.split_key, (annotation, own, image), place, 'split_key')
            if split not in SPLITS:
                raise DataError(f'{place}: {self.split_key} {split!r}; choose from {", ".join(SPLITS)}')
        fields = {key: value for key, value in annotation.items() if key not in COCO_FIELDS} | own
        keys = (self.id_key, self.camera_key, self.split_key)
        return dict(
            name=str(name),
            camera=camera,
            split=split,
            img_path=image_inside(Path(self.data_prefix['img_path']), image['file_name'], place),
            attributes={key: value for key, value in fields.items() if key not in keys},
            annotation=annotation,
            image=image,
            place=place,
        )

    def load_split(self, split: str) -> list[dict]:
        """Turn the boxes of one split into regions of their frames; see the base class."""
        people = super().load_split(split)
        sizes = self._frame_sizes(people)
        records, counts = [], BoxCounts()
        for person in people:
            size = sizes[person['img_path']]
            bbox, place = person['annotation']['bbox'], person['place']
            box, is_clipped = box_with_margin(bbox, size, self.margin, place)
            counts.add(bbox, size, place, is_clipped)
            record = dict(
                img_path=region_path(person['img_path'], box),
                pid=person['pid'],
                camid=person['camid'],
                attributes=person['attributes'],
            )
            if self.mask_background:
                record['segmentation'] = compressed_mask(person['annotation'].get('segmentation'), size, place)
            records.append(record)
        counts.refuse_corners()
        if counts.beyond:
            self.note(
                f'{counts.beyond} of {counts.number} boxes of {split} reach beyond their frame and are clipped',
                usual=True,
            )
        return records

    @staticmethod
    def _frame_sizes(people: list[dict]) -> dict[str, tuple[int, int]]:
        """Return height and width of every frame."""
        frames = {person['img_path']: person for person in people}
        with ThreadPoolExecutor() as pool:
            sizes = pool.map(
                lambda person: frame_size(person['img_path'], person['image'], person['place']), frames.values()
            )
            return dict(zip(frames, sizes, strict=True))


def _field(key: str, holders: tuple[dict, ...], place: str, option: str) -> str:
    """Return the value of a field as text, from the first of several objects that has the field."""
    value = next((holder[key] for holder in holders if holder.get(key) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not str(value).strip():
        found = 'is missing' if value is None else f'is {repr(value)[:60]}, not a number or a name'
        others = sorted({name for holder in holders[:2] for name in holder if name not in (*COCO_FIELDS, key)})
        options = ' '.join(f'{loader}_dataloader.dataset.{option}=FIELD' for loader in ('train', 'val', 'test'))
        raise DataError(
            f'{place}: the field {key!r} {found}; add it, or name another ({", ".join(others) or "there is none"}): '
            f"{option}='FIELD' in the config, or --cfg-options {options}"
        )
    return str(value).strip()
