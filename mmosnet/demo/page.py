"""The page: a tab to search, a tab for the gallery. Needs Gradio."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import numpy as np

from mmosnet.demo import page_parts
from mmosnet.demo.person_search import MOST_ENROLLED, Found, PersonSearch
from mmosnet.demo.uploaded_image import FORMATS, MAX_BYTES, read_uploaded
from mmosnet.errors import DataError

TITLE = 'mmosnet: search a gallery of people'
# People in the overview, images in a ranked list.
MOST_PEOPLE, MOST_MATCHES = 60, 50
# Letters of a name that a field takes.
MOST_NAME = 100
# Uploaded files are deleted when they are so old, looked for so often: seconds.
UPLOADS_LIVE, UPLOADS_CHECKED = 3600, 600
# Which example was clicked, by mouse or key.
CHOOSE = """element.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (button) trigger('click', {index: Number(button.dataset.index)});
});"""

# On a narrow screen it is below.
SHOW_RESULT = """() => {
    const result = document.getElementById('mm-ranked');
    if (result.getBoundingClientRect().top > 0.7 * innerHeight) result.scrollIntoView();
}"""


class Page:
    """What the page's buttons do.

    Args:
        search: Model and gallery.
        uploads: The folder into which Gradio writes what people upload; files elsewhere are refused.
    """

    def __init__(self, search: PersonSearch, uploads: str | Path) -> None:
        self.search = search
        self.uploads = Path(uploads).resolve()

    def find(self, upload: str | None, top_k: int, camera: str | None) -> tuple[str, str, str, Found | None]:
        """Search; ranked list, attributes, an empty third part and what was found. A mistake is told in the first."""
        try:
            if upload is None:
                raise DataError('Choose a picture of a person first.')
            found = self.search.search(self._read(upload), int(top_k), _number_in(camera))
        except DataError as e:
            return page_parts.alert(str(e)), '', '', None
        attributes = '' if found.attributes is None else page_parts.attribute_table(found.attributes)
        return page_parts.ranked_list(found, self.search.gallery.threshold), attributes, '', found

    def look_inside(self, found: Found | None) -> str:
        """Activation maps and gate weights of what was found."""
        try:
            seen = None if found is None else self.search.look_inside(found)
        except DataError as e:
            return page_parts.alert(str(e))
        return '' if seen is None else page_parts.inside(*seen)

    def people(self) -> str:
        """The overview of the gallery."""
        try:
            return page_parts.people_grid(*self.search.people(MOST_PEOPLE))
        except DataError as e:
            return page_parts.alert(str(e))

    def enroll(self, uploads: Sequence[str] | None, pid: str | None, camera: str | None) -> tuple[str, str]:
        """Add pictures; what happened, and the overview."""
        try:
            if len(uploads or ()) > MOST_ENROLLED:
                # Before they are decoded, up to 120 MB each.
                raise DataError(f'{len(uploads)} pictures: give 1 to {MOST_ENROLLED} of one person at a time.')
            images = [self._read(upload) for upload in uploads or ()]
            enrolled, number = self.search.enroll(images, _person_in(pid), _number_in(camera))
            told = page_parts.note(f'Enrolled {number} {_images(number)} of person {enrolled}.')
        except DataError as e:
            told = page_parts.alert(str(e))
        return told, self.people()

    def delete(self, pid: str | None, id: str | None) -> tuple[str, str]:
        """Delete; what happened, and the overview."""
        try:
            number = self.search.delete(_person_in(pid), _number_in(id))
            told = page_parts.note(f'Deleted {number} {_images(number)}.')
        except DataError as e:
            told = page_parts.alert(str(e))
        return told, self.people()

    def _read(self, upload: str) -> np.ndarray:
        if not Path(upload).resolve().is_relative_to(self.uploads):
            raise DataError('This picture was not uploaded here.')
        return read_uploaded(upload)

    def build(self, examples: Sequence[str], about: str) -> gr.Blocks:
        """Lay the page out.

        Args:
            examples: Paths of pictures to try.
            about: A line on model and gallery.
        """
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(UPLOADS_CHECKED, UPLOADS_LIVE)) as blocks:
            gr.HTML(f'<h1>Who is this?</h1>{page_parts.note(about)}')
            with gr.Tab('Search'):
                self._build_search(examples)
            with gr.Tab('Gallery') as tab:
                self._build_gallery(tab, blocks)
        return blocks

    def _build_search(self, examples: Sequence[str]) -> None:
        found = gr.State()
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                upload = gr.Image(
                    label='Picture of a person',
                    format='png',
                    sources=['upload', 'clipboard'],
                    height=300,
                    buttons=[],
                    elem_id='mm-query',
                    alt_text='query',
                )
                # Gradio would decode whatever comes before it is checked. Not a class of our own: for these Gradio
                # writes a file beside the module.
                upload.preprocess = _path_of
                _keep_local(upload)
                run = gr.Button('Search', variant='primary', elem_id='mm-search')
                if examples:
                    self._build_examples(examples, upload)
                top_k = gr.Slider(1, MOST_MATCHES, 10, step=1, label='Images to show')
                camera = _field('Leave out camera', 'none', 'mm-camera')
            with gr.Column(scale=3, min_width=320):
                ranked = gr.HTML(
                    page_parts.note(f'Drop a picture, or choose an example. {_formats()}'), elem_id='mm-ranked'
                )
                attributes = gr.HTML(elem_id='mm-attributes', visible=self.search.model.has_attributes)
                inside = gr.HTML(elem_id='mm-inside')
        quiet = dict(show_progress='minimal', api_visibility='private')
        answered = run.click(self.find, [upload, top_k, camera], [ranked, attributes, inside, found], **quiet)
        answered.then(None, js=SHOW_RESULT)
        answered.then(self.look_inside, found, inside, **quiet)

    def _build_examples(self, examples: Sequence[str], upload: gr.Image) -> None:
        # Pixels: Gradio would serve the files themselves. Its own gr.Examples replaces the upload's component, and with
        # it the check of what comes in.
        images = [read_uploaded(path) for path in examples]

        def choose(event: gr.EventData):
            return images[int(event.index) % len(images)][:, :, ::-1]

        gr.HTML(page_parts.example_buttons(images), js_on_load=CHOOSE, elem_id='mm-examples').click(
            choose, None, upload, show_progress='hidden', api_visibility='private'
        )

    def _build_gallery(self, tab: gr.Tab, blocks: gr.Blocks) -> None:
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                gr.HTML('<h3>Enroll</h3>')
                # All types: a wrong file gets an answer, where the browser would only grey it out.
                files = gr.File(label='Pictures of one person', file_count='multiple', height=170, elem_id='mm-files')
                _keep_local(files)
                pid = _field('Person', 'somebody new', 'mm-pid', MOST_NAME)
                camera = _field('Camera', 'unknown', 'mm-camid')
                enroll = gr.Button('Enroll', variant='primary', elem_id='mm-enroll')
                gr.HTML('<h3>Delete</h3>')
                gone = _field('All images of person', 'number or name', 'mm-gone', MOST_NAME)
                gone_id = _field('Or the image with id', 'id', 'mm-gone-id')
                delete = gr.Button('Delete', variant='stop', elem_id='mm-delete')
            with gr.Column(scale=3, min_width=320):
                told = gr.HTML(elem_id='mm-told')
                people = gr.HTML(elem_id='mm-people')
        quiet = dict(show_progress='minimal', api_visibility='private')
        enroll.click(self.enroll, [files, pid, camera], [told, people], **quiet).then(
            lambda: None, None, files, api_visibility='private'
        )
        delete.click(self.delete, [gone, gone_id], [told, people], **quiet)
        tab.select(self.people, None, people, **quiet)


def _keep_local(component: gr.components.Component) -> None:
    """Gradio would download what a request names by an address."""
    move = component.async_move_resource_to_block_cache

    async def move_local(path: str | None) -> str | None:
        if '://' in str(path):
            raise gr.Error('Addresses are not fetched: upload the picture.')
        return await move(path)

    component.async_move_resource_to_block_cache = move_local


def _field(label: str, empty: str, elem_id: str, length: int = 12) -> gr.Textbox:
    """A field for a whole number, or a name, that may be empty: in Gradio's own for numbers there is always one."""
    return gr.Textbox(label=label, placeholder=empty, max_lines=1, max_length=length, elem_id=elem_id)


def _person_in(field: str | None) -> int | str | None:
    """A number, or a name, which is what does not look like a number."""
    text = (field or '').strip()
    try:
        float(text)
    except ValueError:
        if text and not text.isnumeric():
            return text
    return _number_in(text)


def _number_in(field: str | None) -> int | None:
    text = (field or '').strip()
    if text and not (text.isascii() and text.isdecimal()):
        raise DataError(f'{text!r} is no whole number.')
    return int(text) if text else None


def _path_of(payload: object) -> str | None:
    """Of a file that Gradio has stored, whatever is in it."""
    return None if payload is None else payload.path


def _formats() -> str:
    return f'{", ".join(FORMATS)} up to {MAX_BYTES >> 20} MiB.'


def _images(number: int) -> str:
    return 'image' if number == 1 else 'images'
