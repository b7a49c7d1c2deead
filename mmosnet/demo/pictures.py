"""Pictures of the page: drawn people, pictures of a gallery, and uploads."""

from __future__ import annotations

import hashlib
import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmosnet.datasets.transforms import read_image
from mmosnet.errors import DataError
from mmosnet.io.files import whole_file
from mmosnet.io.images import decode_image
from mmosnet.io.regions import split_region
from mmosnet.synthetic.camera import sample_camera
from mmosnet.synthetic.datasets import DrawnFolder, write_jpeg
from mmosnet.synthetic.identity import sample_identity
from mmosnet.synthetic.people import RENDERER_VERSION, render_person

# World of SyntheticPeople, whose cameras the embedded weights were trained with; its people have lower pids.
WORLD = 0
FIRST_PID = 201
PEOPLE, CAMERAS, PICTURES = 24, 4, 2
EXAMPLES = 5
# The last example shows a person who is not in the gallery.
STRANGER = FIRST_PID + PEOPLE
ENROLLED_FOLDER, EXAMPLES_FOLDER = 'gallery', 'examples'
# Enrolled pictures are stored without loss.
SUFFIX = '.png'
# Formats that browsers show, too. Each further decoder could have security holes of its own.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
MAX_BYTES = 10 * 2**20
# Largest number of pixels: 120 MB when decoded. A small file can hold many more.
MAX_PIXELS = 40_000_000
MIN_SIDE = 8


def draw_people(root: str | Path) -> None:
    """Draw people into a folder unless they are there. An interrupted call leaves nothing behind.

    Args:
        root: The folder. It gets ``gallery`` with :data:`PEOPLE` people, each seen :data:`PICTURES` times by each of
            :data:`CAMERAS` cameras, and ``examples`` with further pictures of some of them and one of a stranger. Files
            are named ``PID_cCAMERA_NUMBER.jpg``, with cameras counted from 1.

    Raises:
        DataError, FileExistsError: The folder holds something else.
    """
    manifest = dict(renderer_version=RENDERER_VERSION, people=PEOPLE, cameras=CAMERAS, pictures=PICTURES)
    DrawnFolder(Path(root), 'people for the demo', manifest, (ENROLLED_FOLDER, EXAMPLES_FOLDER)).make(_write_people)


def list_people(folder: str | Path) -> tuple[list[str], list[int], list[int]]:
    """Return paths, pids and camids of the pictures in one of the folders of :func:`draw_people`, sorted by name."""
    paths = sorted(Path(folder).glob('*.jpg'))
    names = [path.stem.split('_') for path in paths]
    return [str(path) for path in paths], [int(name[0]) for name in names], [int(name[1][1:]) - 1 for name in names]


def drawn_digests(root: str | Path) -> frozenset[str]:
    """Return the :func:`pixel_digest` of all pictures that :func:`draw_people` has drawn into a folder."""
    paths = [path for folder in (ENROLLED_FOLDER, EXAMPLES_FOLDER) for path in list_people(Path(root) / folder)[0]]
    return frozenset(pixel_digest(read_image(path)) for path in paths)


def pixel_digest(image: np.ndarray) -> str:
    """Return a digest of the size and the pixels of an image ``(H, W, 3)``, independent of its file."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16)
    digest.update(repr(image.shape).encode())
    return digest.hexdigest()


def _write_people(root: Path) -> None:
    cameras = [sample_camera(WORLD, camid) for camid in range(CAMERAS)]
    pids = range(FIRST_PID, FIRST_PID + PEOPLE)
    pictures = [(ENROLLED_FOLDER, pid, camera, n) for pid in pids for camera in cameras for n in range(PICTURES)]
    # Examples: each person by another camera, in a picture that is not in the gallery.
    example_pids = [*pids[2 :: PEOPLE // (EXAMPLES - 1)], STRANGER]
    pictures += [(EXAMPLES_FOLDER, pid, cameras[i % CAMERAS], PICTURES) for i, pid in enumerate(example_pids)]
    for folder, pid, camera, number in pictures:
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture, _ = render_person(sample_identity(WORLD, pid), camera, WORLD, number)
        write_jpeg(root / folder / f'{pid:04d}_c{camera.camid + 1}_{number}.jpg', picture)


class ShownPictures:
    """Pictures that a gallery's records name, and pictures that are enrolled on the page.

    Records may come from elsewhere and name any file; therefore pictures are read from chosen folders only.

    Args:
        folders: Folders whose pictures may be read, including the folders below them.
        enrolled: Folder in which enrolled pictures are stored under new names; its pictures may be read, too.
    """

    def __init__(self, folders: Sequence[str | Path], enrolled: str | Path) -> None:
        self.enrolled = Path(enrolled)
        self.folders = [Path(folder).resolve() for folder in (*folders, enrolled)]

    def read(self, path: str) -> np.ndarray | None:
        """Return a picture, ``(H, W, 3)`` uint8, BGR.

        Args:
            path: Path in a record; may name a region of a file.

        Returns:
            The picture, or None: if the file is missing, as in a gallery made of features that a camera has sent, if
            it cannot be read, or if it lies outside of the folders. Such people are searched like all others.
        """
        try:
            file = Path(split_region(path)[0]).resolve()
            if not any(file.is_relative_to(folder) for folder in self.folders):
                return None
            return read_image(path)
        # OSError and ValueError are raised for names that no file can have.
        except (DataError, OSError, ValueError):
            return None

    def new_paths(self, pid: int, number: int) -> list[str]:
        """Return paths for new pictures of a person, with file names that cannot be guessed."""
        return [str(self.enrolled / f'{pid}_{secrets.token_hex(8)}{SUFFIX}') for _ in range(number)]

    @contextmanager
    def kept(self, images: Sequence[np.ndarray], paths: Sequence[str]) -> Iterator[None]:
        """Write pictures ``(H, W, 3)`` to new paths if the ``with`` block ends without an error.

        Only pixels are stored, and no other content of an uploaded file, such as the place where it was taken.

        Raises:
            OSError: The files cannot be written, as on a full disk.
        """
        with ExitStack() as files:
            for image, path in zip(images, paths, strict=True):
                draft = files.enter_context(whole_file(path))
                draft.write_bytes(cv2.imencode(SUFFIX, image)[1].tobytes())
            yield

    def may_keep(self, pid: int) -> bool:
        """Return whether pictures of a person with this pid were enrolled on the page, in this gallery or another."""
        return any(self.enrolled.glob(f'{pid}_*{SUFFIX}'))

    def forget(self, paths: Sequence[str]) -> None:
        """Delete those of the pictures that were enrolled on the page."""
        for path in map(Path, paths):
            if path.resolve().parent == self.enrolled.resolve():
                path.unlink(missing_ok=True)


def read_uploaded(path: str | Path) -> np.ndarray:
    """Read an uploaded picture, upright as a viewer shows it (:func:`mmosnet.io.images.decode_image`).

    Args:
        path: File in the page's temporary folder. Messages do not name it.

    Returns:
        ``(H, W, 3)`` uint8, BGR.

    Raises:
        DataError: The file is gone, too large, or not a picture. The message is a sentence for the page.
    """
    try:
        size = Path(path).stat().st_size
    except OSError as e:
        raise DataError('The picture is no longer there: choose it again.') from e
    if size > MAX_BYTES:
        raise DataError(f'The file has {size / 2**20:.0f} MiB, more than the {MAX_BYTES >> 20} MiB that are read.')
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures, which are checked against MAX_PIXELS below.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                _check_size(picture.width, picture.height)
            return decode_image(Path(path).read_bytes())
    except Image.DecompressionBombError as e:
        raise DataError(_too_large('Its header promises far more')) from e
    except UnidentifiedImageError as e:
        raise DataError(f'This is not a picture that can be read: give a file in {", ".join(FORMATS)} format.') from e
    # Pillow's decoders report damage by any of these errors.
    except (OSError, SyntaxError, ValueError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f'The picture is damaged ({e}): give another copy of it.') from e


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(_too_large(f'It has {width} x {height} pixels'))
    if min(width, height) < MIN_SIDE:
        raise DataError(f'The picture has {width} x {height} pixels: too few to see anybody.')


def _too_large(what: str) -> str:
    return f'The picture is too large. {what}; {MAX_PIXELS // 10**6} million are read: crop the person out of it.'
