"""List the people in a user's inputs: images, folders, CSV tables, COCO files, and videos with files of boxes."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mmosnet.errors import DataError
from mmosnet.features.features import checked_track
from mmosnet.features.people import InputBoxes, ListedPerson, ListingOptions, PersonList
from mmosnet.io.coco import COCO_FIELDS, CocoFile, read_coco
from mmosnet.io.media import LOGGER, VIDEO_SUFFIXES, find_files, images_in
from mmosnet.io.regions import frame_path, split_region
from mmosnet.io.tables import (
    LAST,
    TableRow,
    alike_text,
    camera_number,
    identity,
    number_in_name,
    read_table,
    seconds,
)
from mmosnet.io.video import FORMS, FrameBox, VideoFrames, read_boxes

# File names of Market-1501 and many others: pid -1 is a part of a person, 0 a distractor that no query shows.
MARKET_NAME = re.compile(r'(-?\d+)_c(\d+)', re.ASCII)
# Groups that a message names.
MOST_NAMED = 5
# Columns of tables: the box, and all.
BOX = ('x', 'y', 'w', 'h')
COLUMNS = ('path', 'pid', 'camid', 'time', 'track', 'split', *BOX)
# The last number in a file name, with the text before and after it.
NUMBERED = re.compile(r'(.*?)(\d+)(\D*)', re.ASCII)


def people_in_folder(
    folder: str, camid: int, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List every image of a folder as a person; other files are counted in ``left_out``.

    Raises:
        DataError: No image, a link that leads in a loop, or a name that has not the form of ``options.names``.
    """
    files = find_files(folder)
    if files.left_out_text():
        number = files.left_out.total() + len(files.linked)
        left_out[f'files in {folder} that are no images ({files.left_out_text()})'] += number
    # images_in raises the error if there is no image.
    for path in files.files or images_in(folder):
        yield person_of_file(str(path), camid, options)


def person_of_file(path: str, camid: int, options: ListingOptions) -> ListedPerson:
    """Return the person in an image or in a region of one; errors are those of :func:`people_in_folder`."""
    if not options.names:
        return ListedPerson(path, camid=camid)
    try:
        match = MARKET_NAME.match(Path(split_region(path)[0]).name)
        if match is None:
            raise DataError(
                f'{path}: the name does not begin with pid and camera like 0002_c1s1_000451_03.jpg; leave --names out'
            )
        pid = number_in_name(match[1], 'pid', path, -1)
        # Cameras count from 1: whether other images have c0 is unknown here, and camid -1 would mean unknown.
        camera = number_in_name(match[2], 'camera', path, 1)
    except DataError as e:
        return ListedPerson(path, camid=camid, error=options.reason(e))
    return ListedPerson(path, pid if pid > 0 else -1, camera - 1)


def _person(path: str, pid: int | str, camera: int | str, time: str, camid: int, place: str) -> ListedPerson:
    """Return the person of a record, in the whole image.

    Args:
        path: The image.
        pid: Identity; -1 if unknown.
        camera: Camera; -1 if the record names none.
        time: Seconds or a date; empty if unknown.
        camid: Camera of the input, if the record names none.
        place: File and row, for errors.
    """
    camera = camid if camera == -1 else camera
    return ListedPerson(path, pid, camera, seconds(time, f'{place}: time') if time else math.nan, place=place)


def people_in_coco(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read annotations like those of :class:`~mmosnet.datasets.CocoPerson`; only boxes are required.

    Identity and camera are fields of the annotation or of its ``attributes``, camera, ``time`` and ``split`` also of
    the image. Groups (``iscrowd``) are left out.

    Args:
        path: The file.
        camid: Camera of the people whose records name none.
        options: Further options.
        left_out: Counter to which the annotations that are groups or were not requested are added.

    Raises:
        FileNotFoundError: No such file.
        DataError: A wrong value; names file, annotation and value, and says what it should be.
    """
    coco = read_coco(path, keep_faulty=True)
    people, groups, num_others = coco.select(options.category)
    _check_named_fields(coco, options)
    if num_others:
        left_out[f'annotations in {path} of other categories than {options.category}'] += num_others
    boxes = InputBoxes(path, options.margin)
    for annotation in people:
        person = _person_of_annotation(coco, annotation, camid, options, boxes)
        if person is None:
            left_out[f'annotations in {path} of other splits than {options.split}'] += 1
        else:
            yield person
    boxes.finish()
    if groups:
        named = ', '.join(str(group['id']) for group in groups[:MOST_NAMED]) + ' ...' * (len(groups) > MOST_NAMED)
        text = f'groups in {path}, which have iscrowd 1 (annotation {named}); for a single person write 0'
        left_out[text] += len(groups)


def _check_named_fields(coco: CocoFile, options: ListingOptions) -> None:
    """Refuse a field name that the user gave and no annotation has; only warn about a default one."""
    for option, place in (('id_key', ()), ('camera_key', coco.images.values())):
        key = getattr(options, option)
        entries = [*coco.annotations, *(a.get('attributes') for a in coco.annotations), *place]
        held = {name for entry in entries if isinstance(entry, dict) for name in entry}
        others = ', '.join(sorted(held - {*COCO_FIELDS, 'file_name', 'height', 'width'}))
        if key in held:
            continue
        name = f'--{option.replace("_", "-")}'
        if key != getattr(ListingOptions, option):
            raise DataError(f'{coco.path}: {name} {key}: no annotation has this field; there are {others or "none"}')
        if others:
            LOGGER.warning(f'{coco.path}: no annotation has the field {key}; {name} may name another: {others}')


def _person_of_annotation(
    coco: CocoFile, annotation: dict, camid: int, options: ListingOptions, boxes: InputBoxes
) -> ListedPerson | None:
    """Return the person in the box; None if it belongs to another split."""
    place, path = coco.place(annotation), coco.path
    try:
        record = coco.record(annotation)
        if options.split is not None and record.field('split') != options.split:
            return None
        path = record.img_path(options.root or Path(coco.path).parent)
        pid, camera = record.identity(options.id_key, of_image=False), record.identity(options.camera_key)
        person = _person(path, pid, camera, record.field('time'), camid, place)
        return boxes.person(person, annotation['bbox'], place, record.image)
    except DataError as e:
        return ListedPerson(path, camid=camid, error=options.reason(e), place=place)


def people_in_table(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read a table like that of :class:`~mmosnet.datasets.ReIDTable`; only ``path`` is required.

    Further columns: ``pid``, a number or a name, and ``camid``, both empty or -1 if unknown; ``track``, likewise, the
    images of one person in a folder by one camera that belong together; ``time`` in seconds or as a date; ``x,y,w,h``,
    a box in the image; ``split``. Other columns are not read; a warning names them.

    Args:
        path: The table.
        camid: Camera of the people whose records name none.
        options: Further options.
        left_out: Counter to which the rows that were not requested are added.

    Raises:
        FileNotFoundError: No such table.
        DataError: A wrong value; names row and value, and says what it should be.
    """
    folder = options.root or str(Path(path).parent)
    columns, rows = read_table(path, ('path',), (), folder, 'mmosnet extract', BOX, keep_faulty=True)
    box = [name for name in BOX if name in columns]
    if box and len(box) < len(BOX):
        raise DataError(f'{path}: the columns {", ".join(box)} alone are no box: give all of {",".join(BOX)}')
    others = [column for column in columns if column not in COLUMNS]
    if others:
        LOGGER.warning(f'{path}: the columns {", ".join(others)} are not read; those that are: {", ".join(COLUMNS)}')
    if options.split is not None:
        if 'split' not in columns:
            raise DataError(f'{path}: no column split, of which --split {options.split} could choose')
        number = len(rows)
        rows = [row for row in rows if row.error or row.cells['split'] == options.split]
        if len(rows) < number:
            left_out[f'rows of {path} of other splits than {options.split}'] += number - len(rows)
    boxes = InputBoxes(path, options.margin)
    for row in rows:
        try:
            yield _person_of_row(row, camid, boxes)
        except DataError as e:
            yield ListedPerson(row.img_path or path, camid=camid, error=options.reason(e), place=row.place)
    boxes.finish()


def _person_of_row(row: TableRow, camid: int, boxes: InputBoxes) -> ListedPerson:
    if row.error:
        raise DataError(row.error)
    cells = row.cells
    camera = camera_number(cells.get('camid', ''), row.place)
    pid = identity(cells.get('pid', ''), f'{row.place}: pid')
    person = _person(row.img_path, pid, camera, cells.get('time', ''), camid, row.place)
    person = person._replace(track=checked_track(cells.get('track', ''), f'{row.place}: track'))
    box = [cells.get(name, '') for name in BOX]
    if not any(box):
        return person
    try:
        numbers = [float(text) for text in box]
        if not all(map(math.isfinite, numbers)):
            raise ValueError('not finite')
    except ValueError as e:
        raise DataError(f'{row.place}: the box {",".join(box)[:100]} is not left, top, width, height in pixels') from e
    return boxes.person(person, numbers, row.place)


def people_in_video(
    path: str, boxes: str, camid: int, start_time: float, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List the boxes of a video, or of a folder with its frames as images.

    A person's time is that of the frame: ``start_time`` plus the frame's number divided by the frame rate. For a folder
    without ``options.fps`` it is unknown.

    Args:
        path: Video file, or folder whose images are the frames.
        boxes: File of the boxes (:func:`~mmosnet.io.video.read_boxes`).
        camid: Number of the camera.
        start_time: Seconds at which the video starts.
        options: Further options.
        left_out: Counter to which the boxes that were not requested are added.

    Raises:
        FileNotFoundError: No such video, or no such file of boxes.
        DataError: A damaged file, frames whose numbers leave their order open, or a wrong box; names its row.
    """
    all_rows = read_boxes(boxes, options.first_frame, keep_faulty=True)
    fault = next((row.error for row in all_rows if row.error), '')
    if fault:
        # The first wrong row is named before errors about the whole file.
        options.reason(DataError(fault))
    if options.tracks_as_pids and not any(row.track >= 0 for row in all_rows):
        raise DataError(f'{boxes}: no box has a track, which --tracks-as-pids could take: {FORMS}')
    if options.first_frame is None and all_rows[0].number - all_rows[0].frame == 1:
        LOGGER.warning(f'{boxes}: frames count from 1, as in the MOTChallenge; give --first-frame 0 if they do not')
    rows = list(requested(all_rows, boxes, options, left_out))
    images = FolderFrames(path, options.first_frame) if Path(path).is_dir() else None
    input_boxes = InputBoxes(boxes, options.margin)
    if images is None:
        video = VideoFrames(path, options.fps)
        with closing(video):
            frame_size, fps = (video.height, video.width), video.fps
    else:
        fps = options.fps
    for row in rows:
        pid = row.track if options.tracks_as_pids else -1
        time = start_time + row.frame / fps if fps and not row.error else math.nan
        track = '' if row.track < 0 else str(row.track)
        person = ListedPerson(path, pid, camid, time, place=row.place, track=track)
        try:
            if row.error:
                raise DataError(row.error)
            if fps and time >= LAST:
                raise DataError(f'{row.place}: frame {row.frame} at {fps:g} frames per second is after the year 2099')
            if images is None:
                region = input_boxes.region(row.box, frame_size, row.place)
                yield person._replace(path=frame_path(path, row.frame, region))
            else:
                yield input_boxes.person(person._replace(path=images.image(row)), row.box, row.place)
        except DataError as e:
            yield person._replace(error=options.reason(e))
    input_boxes.finish()


def requested(rows: list[FrameBox], boxes: str, options: ListingOptions, left_out: Counter[str]) -> Iterator[FrameBox]:
    """Return the boxes that the options request, and faulty rows; count the others."""
    for row in rows:
        if row.error:
            yield row
        elif row.frame % options.frame_step:
            left_out[f'boxes of {boxes} in frames between those of --frame-step {options.frame_step}'] += 1
        elif options.min_score is not None and math.isnan(row.score):
            raise DataError(f'{row.place}: no score, on which --min-score {options.min_score:g} could decide')
        elif options.min_score is not None and row.score < options.min_score:
            left_out[f'boxes of {boxes} with a score below {options.min_score:g}'] += 1
        else:
            yield row


class FolderFrames:
    """The images of a folder as the frames of a video.

    Numbers in the names are frame numbers: 000007.jpg is frame 7 even if frame 6 is missing. Images whose names have no
    number, or differ in more than one, are frames in the order of their names.

    Args:
        folder: Folder of the frames.
        first_frame: Number of the first frame in the box file, if the user gave it.

    Raises:
        DataError: Names that leave open which frame they are.
    """

    def __init__(self, folder: str, first_frame: int | None) -> None:
        self._folder = folder
        images = sorted(images_in(folder), key=_natural)
        names = [NUMBERED.fullmatch(Path(image).stem) for image in images]
        bare = [name is not None and name[0].isdigit() for name in names]
        if any(bare) and not all(bare):
            numbered, other = images[bare.index(True)], images[bare.index(False)]
            raise DataError(f'{other} has no number as {numbered} has, so that it is not clear which frame it is')
        self._by_number = dict(enumerate(images))
        if None in names or len({(name[1], name[3]) for name in names}) > 1:
            return
        numbers = [int(name[2]) for name in names]
        start = min(numbers)
        if start > 1 and first_frame != start:
            raise DataError(
                f'{folder}: the frames count from {start}: give --first-frame {start} if the boxes have the same '
                'numbers; else rename the images, to count from 0 or 1'
            )
        self._by_number = {}
        for number, image in zip(numbers, images, strict=True):
            if number - start in self._by_number:
                raise DataError(f'{image} and {self._by_number[number - start]} are both frame {number}: leave one')
            self._by_number[number - start] = image

    def image(self, row: FrameBox) -> str:
        """Return the image file of a box's frame.

        Raises:
            DataError: There is no such frame.
        """
        if row.frame not in self._by_number:
            first = row.number - row.frame
            last, number = max(self._by_number) + first, len(self._by_number)
            text = f'{row.place}: frame {row.number} of {self._folder}, whose {number} images are {first} to {last}'
            wrong = first == 0 and row.frame == number
            raise DataError(text + '; if the boxes count from 1, give --first-frame 1' * wrong)
        return self._by_number[row.frame]

    def files(self) -> dict[int, str]:
        """Return the image of each frame, by number from 0."""
        return self._by_number


def _natural(path: str) -> list[str | int]:
    """Return a sort key by which 2.jpg precedes 10.jpg."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split('([0-9]+)', path))]


FILES: dict[str, Callable[[str, int, ListingOptions, Counter[str]], Iterator[ListedPerson]]] = {
    '.csv': people_in_table,
    '.json': people_in_coco,
}


def list_people(inputs: Sequence[str], options: ListingOptions | None = None) -> PersonList:
    """List the people in all inputs, in order.

    Args:
        inputs: Images, regions of images, folders of images, CSV tables, COCO files, and videos or folders of their
            frames with files of boxes in ``options.boxes``.
        options: Further options; see :class:`~mmosnet.features.people.ListingOptions` for the defaults.

    Returns:
        The people, with counts of the entries that were left out.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: An input has a wrong value or no person, or the options do not fit the inputs.
    """
    options = options or ListingOptions()
    videos = videos_with_boxes(inputs, options)
    camids = one_for_each('--camid', options.camid, list(inputs), -1)
    starts = one_for_each('--start-time', options.start_time, list(videos), 0.0)
    people, left_out = [], Counter()
    for path in inputs:
        number, own = len(people), Counter()
        if path in videos:
            people += people_in_video(path, videos[path], camids[path], starts[path], options, own)
        else:
            people += _people_in(path, camids[path], options, own)
        if len(people) == number:
            others = ''.join(f'; left out {count:,} {text}' for text, count in own.items())
            raise DataError(f'{path} holds no person' + f' of the split {options.split}' * bool(options.split) + others)
        left_out += own
    alike = alike_text({person.pid for person in people if isinstance(person.pid, str)})
    if alike:
        LOGGER.warning(alike)
    listed = PersonList(people)
    listed.left_out, listed.inputs, listed.options = left_out, list(inputs), options
    return listed


def _people_in(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    file = Path(path)
    if file.is_dir():
        return people_in_folder(path, camid, options, left_out)
    if not Path(split_region(path)[0]).is_file():
        raise FileNotFoundError(f'no image, folder, table, COCO file or video {split_region(path)[0]}')
    if file.suffix.lower() in FILES:
        return FILES[file.suffix.lower()](path, camid, options, left_out)
    return iter([person_of_file(path, camid, options)])


def videos_with_boxes(inputs: Sequence[str], options: ListingOptions) -> dict[str, str]:
    """Return the box file of each video or folder of frames."""
    given: dict[str, str] = {}
    for path in inputs:
        place = os.path.normpath(path)
        if place in given:
            raise DataError(f'{path} is named twice' + f', as {given[place]} too' * (given[place] != path))
        given[place] = path
    videos = [path for path in inputs if Path(path).suffix.lower() in VIDEO_SUFFIXES]
    if not videos and options.boxes:
        # Folders of frames.
        videos = [path for path in inputs if Path(path).is_dir()]
    if len(videos) != len(options.boxes):
        raise DataError(
            f'{len(videos)} videos ({", ".join(videos) or "none"}) and {len(options.boxes)} files of boxes: give each '
            'video one, --boxes A.csv B.csv, in order'
        )
    return dict(zip(videos, options.boxes, strict=True))


def one_for_each(option: str, values: Sequence, paths: Sequence[str], default: object) -> dict:
    """Return the value of an option for each path: the only one, or one per path.

    Raises:
        DataError: Another number of values.
    """
    if len(values) in (0, 1):
        return dict.fromkeys(paths, values[0] if values else default)
    if len(values) != len(paths):
        raise DataError(f'{option} has {len(values)} values for {len(paths)} inputs: give one, or one for each')
    return dict(zip(paths, values, strict=True))
