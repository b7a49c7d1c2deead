"""Where people are listed from.

Single images and folders of them as people to extract features of.

People in COCO files to extract features of: boxes in whole frames.

People in a table to extract features of: one CSV file with a row for each.

People in the frames of a video to extract features of, by a file of their boxes.

All people in what a user names: images, folders, tables, COCO files and videos.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mmosnet.errors import DataError
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

# Of Market-1501 and many others: pid -1 is a piece of a person, 0 somebody whom no query asks for.
MARKET_NAME = re.compile(r'(-?\d+)_c(\d+)', re.ASCII)


def people_in_folder(
    folder: str, camid: int, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List every image of a folder as a person; other files are counted in ``left_out``.

    Raises:
        DataError: No image, a link that leads in a loop, or one whose name does not tell what ``options.names`` says.
    """
    found = find_files(folder)
    if found.left_out_text():
        number = found.left_out.total() + len(found.linked)
        left_out[f'files in {folder} that are no images ({found.left_out_text()})'] += number
    # images_in says why there is none.
    for path in found.files or images_in(folder):
        yield person_of_file(str(path), camid, options)


def person_of_file(path: str, camid: int, options: ListingOptions) -> ListedPerson:
    """Return the person of an image or of a region of one; errors are those of :func:`people_in_folder`."""
    if not options.names:
        return ListedPerson(path, camid=camid)
    match = MARKET_NAME.match(Path(split_region(path)[0]).name)
    if match is None:
        text = f'{path}: the name does not begin with pid and camera like 0002_c1s1_000451_03.jpg; leave --names out'
        if not options.skip:
            raise DataError(text)
        return ListedPerson(path, camid=camid, error=text)
    try:
        pid = number_in_name(match[1], 'pid', path, -1)
        # One image does not tell whether others say c0, and camid -1 would be unknown.
        camera = number_in_name(match[2], 'camera', path, 1)
    except DataError as e:
        if not options.skip:
            raise
        return ListedPerson(path, camid=camid, error=str(e))
    return ListedPerson(path, pid if pid > 0 else -1, camera - 1)


# Groups that are named.
MOST_NAMED = 5


def people_in_coco(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read annotations like those of :class:`~mmosnet.datasets.CocoPerson`; only boxes are required.

    Identity and camera are fields of the annotation or of its ``attributes``, camera, ``time`` and ``split`` also of
    the image. Groups (``iscrowd``) are left out.

    Args:
        path: The file.
        camid: Camera of the people whose records name none.
        options: The rest.
        left_out: Counts the annotations that are groups or not asked for.

    Raises:
        FileNotFoundError: No such file.
        DataError: Names file, annotation, value and what it should be.
    """
    coco = read_coco(path, keep_faulty=True)
    people, groups, num_others = coco.select(options.category)
    _check_named_fields(coco, options)
    if num_others:
        left_out[f'annotations in {path} of other categories than {options.category}'] += num_others
    boxes = InputBoxes(path, options.margin)
    for annotation in people:
        person = _person(coco, annotation, camid, options, boxes)
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
    """Refuse a field name given by the user that no annotation has; warn for a default one."""
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


def _person(
    coco: CocoFile, annotation: dict, camid: int, options: ListingOptions, boxes: InputBoxes
) -> ListedPerson | None:
    """Return the person in the box; None where it belongs to another split."""
    place, path = coco.place(annotation), coco.path
    try:
        record = coco.record(annotation)
        if options.split is not None and record.field('split') != options.split:
            return None
        path = record.img_path(options.root or Path(coco.path).parent)
        camera, time = record.identity(options.camera_key), record.field('time')
        person = ListedPerson(
            path,
            record.identity(options.id_key, of_image=False),
            camid if camera == -1 else camera,
            seconds(time, f'{place}: time') if time else float('nan'),
            place=place,
        )
        return boxes.person(person, annotation['bbox'], place, record.image)
    except DataError as e:
        return ListedPerson(path, camid=camid, error=options.reason(e), place=place)


BOX = ('x', 'y', 'w', 'h')
COLUMNS = ('path', 'pid', 'camid', 'time', 'split', *BOX)


def people_in_table(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    """Read a table like that of :class:`~mmosnet.datasets.ReIDTable`; only ``path`` is required.

    Further columns: ``pid``, a number or a name, and ``camid``, both empty or -1 where unknown; ``time`` in seconds or
    as a date; ``x,y,w,h``, a box in the image; ``split``. A warning names others, which are not read.

    Args:
        path: The table.
        camid: Camera of the people whose records name none.
        options: The rest.
        left_out: Counts the rows that are not asked for.

    Raises:
        FileNotFoundError: No such table.
        DataError: Names the row, the value and what it should be.
    """
    folder = options.root or str(Path(path).parent)
    columns, rows = read_table(path, ('path',), (), folder, 'mmosnet extract', BOX, keep_faulty=True)
    found = [name for name in BOX if name in columns]
    if found and len(found) < len(BOX):
        raise DataError(f'{path}: the columns {", ".join(found)} alone are no box: give all of {",".join(BOX)}')
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
            yield _people_table_person(row, camid, boxes)
        except DataError as e:
            yield ListedPerson(row.img_path or path, camid=camid, error=options.reason(e), place=row.place)
    boxes.finish()


def _people_table_person(row: TableRow, camid: int, boxes: InputBoxes) -> ListedPerson:
    if row.error:
        raise DataError(row.error)
    cells = row.cells
    camera = camera_number(cells.get('camid', ''), row.place)
    person = ListedPerson(
        row.img_path,
        identity(cells.get('pid', ''), f'{row.place}: pid'),
        camid if camera == -1 else camera,
        seconds(cells['time'], f'{row.place}: time') if cells.get('time') else float('nan'),
        place=row.place,
    )
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


# The last number in the name of a file, behind and before what is equal in all names.
NUMBERED = re.compile(r'(.*?)(\d+)(\D*)', re.ASCII)


def people_in_video(
    path: str, boxes: str, camid: int, start_time: float, options: ListingOptions, left_out: Counter[str]
) -> Iterator[ListedPerson]:
    """List the boxes of a video, or of a folder with its frames as images.

    A person's time is that of the frame: ``start_time`` and its number by the frame rate; of a folder it is unknown
    without ``options.fps``.

    Args:
        path: Video file, or folder whose images are the frames.
        boxes: File of the boxes (:func:`~mmosnet.io.video.read_boxes`).
        camid: Number of the camera.
        start_time: Seconds at which the video starts.
        options: The rest.
        left_out: Counts the boxes that are not asked for.

    Raises:
        FileNotFoundError: No such video, or no such file of boxes.
        DataError: A damaged file, frames whose numbers do not tell their order, or a box that is wrong; names its row.
    """
    read = read_boxes(boxes, options.first_frame, keep_faulty=True)
    wrong = next((row for row in read if row.error), None)
    if wrong is not None and not options.skip:
        options.reason(DataError(wrong.error))
    if options.tracks_as_pids and not any(row.track >= 0 for row in read):
        raise DataError(f'{boxes}: no box has a track, which --tracks-as-pids could take: {FORMS}')
    if options.first_frame is None and read[0].number - read[0].frame == 1:
        LOGGER.warning(f'{boxes}: frames count from 1, as in the MOTChallenge; give --first-frame 0 if they do not')
    rows = list(_chosen(read, boxes, options, left_out))
    images = _Frames(path, options.first_frame) if Path(path).is_dir() else None
    found = InputBoxes(boxes, options.margin)
    if images is None:
        video = VideoFrames(path, options.fps)
        with closing(video):
            frame_size, fps = (video.height, video.width), video.fps
    else:
        fps = options.fps
    for row in rows:
        pid = row.track if options.tracks_as_pids else -1
        time = start_time + row.frame / fps if fps and not row.error else math.nan
        person = ListedPerson(path, pid, camid, time, place=row.place)
        try:
            if row.error:
                raise DataError(row.error)
            if fps and time >= LAST:
                raise DataError(f'{row.place}: frame {row.frame} at {fps:g} frames per second is after the year 2099')
            if images is None:
                yield person._replace(path=frame_path(path, row.frame, found.region(row.box, frame_size, row.place)))
            else:
                yield found.person(person._replace(path=images.image(row)), row.box, row.place)
        except DataError as e:
            yield person._replace(error=options.reason(e))
    found.finish()


def _chosen(rows: list[FrameBox], boxes: str, options: ListingOptions, left_out: Counter[str]) -> Iterator[FrameBox]:
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


class _Frames:
    """The images of a folder as the frames of a video.

    Numbers in the names count: 000007.jpg is frame 7 where frame 6 is missing too. Names without numbers, or with
    several as dates have, are frames in order of the names.

    Args:
        folder: Folder of the frames.
        first_frame: What the boxes call the first, if that was said.

    Raises:
        DataError: Names of which it is not clear which frame they are.
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
            DataError: There is none.
        """
        if row.frame not in self._by_number:
            first = row.number - row.frame
            last, number = max(self._by_number) + first, len(self._by_number)
            text = f'{row.place}: frame {row.number} of {self._folder}, whose {number} images are {first} to {last}'
            wrong = first == 0 and row.frame == number
            raise DataError(text + '; if the boxes count from 1, give --first-frame 1' * wrong)
        return self._by_number[row.frame]


def _natural(path: str) -> list[str | int]:
    """Return a sort key by which 2.jpg precedes 10.jpg."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split('([0-9]+)', path))]


FILES: dict[str, Callable[[str, int, ListingOptions, Counter[str]], Iterator[ListedPerson]]] = {
    '.csv': people_in_table,
    '.json': people_in_coco,
}


def list_people(inputs: Sequence[str], options: ListingOptions | None = None) -> PersonList:
    """List the people in all inputs, in order.

    Args:
        inputs: Images, regions of images, folders of images, CSV tables, COCO files, and videos or folders of their
            frames with files of boxes in ``options.boxes``.
        options: What else is known; nothing by default.

    Returns:
        The people, and counts of what was left out.

    Raises:
        FileNotFoundError: An input is missing.
        DataError: Something in an input is wrong, there is nobody in it, or options do not fit.
    """
    options = options or ListingOptions()
    videos = _videos(inputs, options)
    camids = _one_for_each('--camid', options.camid, list(inputs), -1)
    starts = _one_for_each('--start-time', options.start_time, list(videos), 0.0)
    people, left_out = [], Counter()
    for path in inputs:
        number, own = len(people), Counter()
        if path in videos:
            people += people_in_video(path, videos[path], camids[path], starts[path], options, own)
        else:
            people += _people_in(path, camids[path], options, own)
        if len(people) == number:
            others = ''.join(f'; left out {count:,} {text}' for text, count in own.items())
            raise DataError(f'{path}: there is nobody in it' + ' of that choice' * bool(options.split) + others)
        left_out += own
    alike = alike_text({person.pid for person in people if isinstance(person.pid, str)})
    if alike:
        LOGGER.warning(alike)
    found = PersonList(people)
    found.left_out, found.inputs, found.options = left_out, list(inputs), options
    return found


def _people_in(path: str, camid: int, options: ListingOptions, left_out: Counter[str]) -> Iterator[ListedPerson]:
    file = Path(path)
    if file.is_dir():
        return people_in_folder(path, camid, options, left_out)
    if not Path(split_region(path)[0]).is_file():
        raise FileNotFoundError(f'no image, folder, table, COCO file or video {split_region(path)[0]}')
    if file.suffix.lower() in FILES:
        return FILES[file.suffix.lower()](path, camid, options, left_out)
    return iter([person_of_file(path, camid, options)])


def _videos(inputs: Sequence[str], options: ListingOptions) -> dict[str, str]:
    """Return the box files by the input that they belong to."""
    named: dict[str, str] = {}
    for path in inputs:
        place = os.path.normpath(path)
        if place in named:
            raise DataError(f'{path} is named twice' + f', as {named[place]} too' * (named[place] != path))
        named[place] = path
    videos = [path for path in inputs if Path(path).suffix.lower() in VIDEO_SUFFIXES]
    if not videos and options.boxes:
        # Of videos that are folders of frames.
        videos = [path for path in inputs if Path(path).is_dir()]
    if len(videos) != len(options.boxes):
        raise DataError(
            f'{len(videos)} videos ({", ".join(videos) or "none"}) and {len(options.boxes)} files of boxes: give each '
            'video one, --boxes A.csv B.csv, in order'
        )
    return dict(zip(videos, options.boxes, strict=True))


def _one_for_each(option: str, values: Sequence, paths: Sequence[str], default: object) -> dict:
    if len(values) in (0, 1):
        return dict.fromkeys(paths, values[0] if values else default)
    if len(values) != len(paths):
        raise DataError(f'{option} has {len(values)} values for {len(paths)} inputs: give one, or one for each')
    return dict(zip(paths, values, strict=True))
