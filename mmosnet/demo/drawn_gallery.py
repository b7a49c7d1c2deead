"""The page's default gallery: drawn people, of whom some pictures are kept back as examples to search with."""

from __future__ import annotations

from pathlib import Path

from mmosnet.datasets.drawn_folder import DrawnFolder, write_jpeg
from mmosnet.datasets.pedestrian_renderer import RENDERER_VERSION, render_person, sample_camera, sample_identity

# The cameras of SyntheticPeople, under which the embedded weights were trained, and people who were not there.
WORLD = 0
FIRST_PID = 201
PEOPLE, CAMERAS, PICTURES = 24, 4, 2
EXAMPLES = 5
# Nobody of the gallery: what a stranger looks like.
STRANGER = FIRST_PID + PEOPLE
ENROLLED_FOLDER, EXAMPLES_FOLDER = 'gallery', 'examples'


def draw_people(root: str | Path) -> None:
    """Draw people into a folder, unless they are there: complete or not at all.

    Args:
        root: Gets ``gallery``, :data:`PEOPLE` people seen :data:`PICTURES` times by each of :data:`CAMERAS` cameras,
            and ``examples``, other pictures of some of them and one of a stranger. Names are
            ``PID_cCAMERA_NUMBER.jpg``, cameras counted from 1.

    Raises:
        DataError, FileExistsError: The folder holds something else.
    """
    manifest = dict(renderer_version=RENDERER_VERSION, people=PEOPLE, cameras=CAMERAS, pictures=PICTURES)
    DrawnFolder(Path(root), 'people for the demo', manifest, (ENROLLED_FOLDER, EXAMPLES_FOLDER)).make(_write)


def people_of(folder: str | Path) -> tuple[list[str], list[int], list[int]]:
    """Paths, pids and camids of the pictures in one of the folders, by name."""
    paths = sorted(Path(folder).glob('*.jpg'))
    names = [path.stem.split('_') for path in paths]
    return [str(path) for path in paths], [int(name[0]) for name in names], [int(name[1][1:]) - 1 for name in names]


def _write(root: Path) -> None:
    cameras = [sample_camera(WORLD, camid) for camid in range(CAMERAS)]
    pids = range(FIRST_PID, FIRST_PID + PEOPLE)
    shown = [(ENROLLED_FOLDER, pid, camera, n) for pid in pids for camera in cameras for n in range(PICTURES)]
    # Each person by another camera, in a picture that the gallery does not have.
    searched = [*pids[2 :: PEOPLE // (EXAMPLES - 1)], STRANGER]
    shown += [(EXAMPLES_FOLDER, pid, cameras[i % CAMERAS], PICTURES) for i, pid in enumerate(searched)]
    for folder, pid, camera, number in shown:
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture, _ = render_person(sample_identity(WORLD, pid), camera, WORLD, number)
        write_jpeg(root / folder / f'{pid:04d}_c{camera.camid + 1}_{number}.jpg', picture)
