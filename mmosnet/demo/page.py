"""The page in Gradio: a tab to search, a tab for the gallery, and their HTML."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import cv2
import gradio as gr
import numpy as np

from mmosnet.demo.pictures import FORMATS, MAX_BYTES, read_uploaded
from mmosnet.demo.search import COMPARED, MOST_ENROLLED, Inside, Person, PersonModel, PersonSearch, SearchResult
from mmosnet.errors import DataError
from mmosnet.evaluation.attributes import THRESHOLD
from mmosnet.gallery import Match
from mmosnet.gallery.report import camera_of
from mmosnet.visualization.network import GateWeights, MappedImage, overlay

TITLE = 'mmosnet: search a gallery of people'
# People in the overview, images in a ranked list.
MOST_PEOPLE, MOST_MATCHES = 60, 50
# Largest number of letters of a name in a field.
MOST_NAME = 100
# Largest number of digits of a whole number, which then fits into 64 bits.
MOST_DIGITS = 18
# Uploaded files are deleted at this age, which is checked at this interval: seconds.
UPLOADS_LIVE, UPLOADS_CHECKED = 3600, 600
# The result of a visitor's search is deleted after this many seconds.
REMEMBERED = 600
# Height of a picture in a list in pixels. The page may show it smaller.
PICTURE_HEIGHT = 192
JPEG_QUALITY = 90
# Departures of gate weights from their mean that get full color at least: smaller ones stay pale.
SMALLEST_DEPARTURE = 0.01
# Sends the number of the picture that was clicked, by mouse or key, to the server.
PICK = """element.addEventListener('click', event => {
    const button = event.target.closest('button[data-number]');
    if (button) trigger('click', {number: button.dataset.number});
});"""
# On a narrow screen, the result is below the picture that was clicked.
SHOW_RESULT = """() => {
    const result = document.getElementById('mm-ranked').getBoundingClientRect();
    if (result.top > 0.7 * innerHeight || result.top < 0) document.getElementById('mm-ranked').scrollIntoView();
}"""
# Options of all events. None can be called as an API.
QUIET = dict(show_progress='minimal', api_visibility='private')

OUTSIDE_DRAWN = (
    'the weights were trained on drawn people and have never seen a photograph. Their distances say '
    "nothing about who is in a picture that is not one of this page's drawn ones."
)
OUTSIDE_GALLERY = "this gallery's threshold was measured on its drawn people and does not hold for other pictures."
REMEDY = (
    'a gallery of your own with a threshold that was measured on it (made by mmosnet extract, mmosnet gallery and '
    'mmosnet calibrate):'
)
REMEDY_COMMAND = ('mmosnet demo CONFIG CHECKPOINT', '--gallery GALLERY', '--images FOLDER')
MAPS_HELP = 'Dark: weakest, bright: strongest response of a stage to an image.'
GATES_HELP = (
    'The mean weight that the aggregation gates give to each stream, named by its receptive field in pixels of the '
    'stage. Below a weight: by how much it departs from the mean of these images, red above it, blue below. Contrast: '
    'how differently the streams are weighed.'
)
UNSURE_ATTRIBUTES = 'Not to be trusted for this picture: the weights have seen drawn people only.'


def alert(text: str) -> str:
    """Return an error message."""
    return f'<p class="mm-alert" role="alert">{escape(text)}</p>'


def note(text: str) -> str:
    """Return a line of information."""
    return f'<p class="mm-note" role="status">{escape(text)}</p>'


def picture(image: np.ndarray | None, text: str, height: int | None = PICTURE_HEIGHT) -> str:
    """Return an image as HTML, with its data in the page.

    Args:
        image: ``(H, W, 3)`` uint8, BGR; None if there is no picture.
        text: Description of the picture for people who cannot see it.
        height: Height in pixels to which larger pictures are reduced; None to keep the size.
    """
    if image is None:
        return f'<div class="mm-none" role="img" aria-label="{escape(text)}">no picture here</div>'
    if height is not None and image.shape[0] > height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="{escape(text)}">'


def about_model(name: str, model: PersonModel) -> str:
    """Return a line on the weights: their name, and the data sets that they were trained on."""
    if model.knows_drawn_only:
        knows = 'trained on <b>drawn people only</b>: they know nothing of photographs'
    elif model.training_sets:
        knows = f'trained on {escape(", ".join(model.training_sets))}'
    else:
        knows = 'whose training data the config does not name'
    return f'<p class="mm-note">Weights: {escape(name)}, {knows}.</p>'


def introduction(has_examples: bool, has_attributes: bool) -> str:
    """Return the text that stands in place of a result before the first search."""
    choose = 'Click an example, or drop' if has_examples else 'Drop'
    shown = ['whether the person is in the gallery, as far as the weights and the threshold can tell']
    shown.append('the nearest images of the gallery, with their distances')
    if has_attributes:
        shown.append('attributes, such as clothes and bags')
    shown.append('where in the picture the network responds, and at which scale')
    examples = '<p class="mm-note">The examples are drawn; the last one is of a person who is not in the gallery.</p>'
    return (
        f'<div class="mm-intro"><h3>No search yet</h3><p>{choose} a picture of one person. Then you see here:</p>'
        f'<ul>{"".join(f"<li>{line}</li>" for line in shown)}</ul>{examples * has_examples}'
        f'<p class="mm-faint">The tab Gallery shows who is in the gallery. Pictures may be {", ".join(FORMATS)}, up to '
        f'{MAX_BYTES >> 20} MiB.</p></div>'
    )


def ranked_list(result: SearchResult, threshold: float | None, knows_drawn_only: bool = False) -> str:
    """Return the verdict in a sentence, and the matches, nearest first.

    Args:
        result: Result of the search.
        threshold: Threshold of the gallery; None for a gallery without one.
        knows_drawn_only: Whether the weights were trained on drawn people only.
    """
    answer, details, badges = verdict(result, threshold, knows_drawn_only)
    cards = ''.join(
        _card(rank, match, image, badge)
        for rank, (match, image, badge) in enumerate(zip(result.matches, result.pictures, badges, strict=True), 1)
    )
    parts = [f'<p class="mm-note" role="status"><b class="mm-verdict">{escape(answer)}</b> {escape(details)}</p>']
    if result.matches and _is_outside(result, threshold):
        remedy = f'For photographs, take {"weights that were trained on photographs, and " * knows_drawn_only}{REMEDY}'
        command = ' '.join(f'<span>{part}</span>' for part in REMEDY_COMMAND)
        parts = [f'<div class="mm-outside">{parts[0]}<p class="mm-note">{remedy}</p><pre>{command}</pre></div>']
    if any(badges):
        parts.append(
            '<p class="mm-faint"><span class="mm-badge mm-green">same</span> an image of the person whom the answer '
            'names, <span class="mm-badge mm-red">other</span> an image of somebody else. The answer names the person '
            'of the nearest image if its distance is at most the threshold.</p>'
        )
    if any(image is not None for image in result.pictures):
        parts.append('<p class="mm-faint">Nearest first. Click a picture to search with it.</p>')
    return f'{"".join(parts)}<ol class="mm-cards">{cards}</ol>'


def verdict(
    result: SearchResult, threshold: float | None, knows_drawn_only: bool = False
) -> tuple[str, str, list[str]]:
    """Return the answer to the question who is in the picture, as far as distances and threshold allow.

    Args:
        result: Result of the search.
        threshold: Threshold of the gallery; None for a gallery without one.
        knows_drawn_only: Whether the weights were trained on drawn people only.

    Returns:
        The answer, the reason for it, and a badge for each match: ``'same'``, ``'other'`` or ``''``. Badges follow the
        answer: all images of the person whom it names are ``'same'``, whatever their distances. Matches have no badge
        if there is no verdict, or if the person of the image is unknown.
    """
    matches = result.matches
    if not matches:
        return 'Nobody to compare with:', 'the gallery is empty, or all its images are by the camera left out.', []
    nearest = matches[0]
    where = f'{_person(nearest)} at distance {nearest.distance:.3f}'
    if _is_outside(result, threshold):
        reason = OUTSIDE_DRAWN if knows_drawn_only else OUTSIDE_GALLERY
        return 'No verdict:', f'{reason} Nearest: {where}.', [''] * len(matches)
    if threshold is None:
        reason = 'This gallery has no threshold, so nothing says whether it is the same person'
        return f'Nearest: {where}.', f'{reason}: mmosnet calibrate finds one.', [''] * len(matches)
    badges = [_badge(match, nearest) for match in matches]
    if not nearest.same_person:
        return 'Nobody in the gallery:', f'the nearest is {where}, beyond the threshold of {threshold:.3f}.', badges
    others = dict.fromkeys(
        _person(match) for match, badge in zip(matches, badges, strict=True) if badge == 'other' and match.same_person
    )
    mistakes = f' Also within it, but farther away: {", ".join(others)}.' if others else ''
    return f'The same person: {where},', f'within the threshold of {threshold:.3f}.{mistakes}', badges


def _is_outside(result: SearchResult, threshold: float | None) -> bool:
    """Return whether the threshold does not hold for the query or for the nearest image."""
    return result.outside or (threshold is not None and result.matches[0].same_person is None)


def _badge(match: Match, nearest: Match) -> str:
    if match.same_person is None:
        return ''
    if not nearest.same_person:
        return 'other'
    if match.pid < 0 or nearest.pid < 0:
        return 'same' if match is nearest else ''
    return 'same' if match.pid == nearest.pid else 'other'


def _card(rank: int, match: Match, image: np.ndarray | None, badge: str) -> str:
    camera = 'camera unknown' if match.camid < 0 else f'camera {camera_of(match)}'
    text = f'rank {rank}: {_person(match)}, {camera}, distance {match.distance:.3f}' + (badge and f', {badge} person')
    badge_html = f'<span class="mm-badge">{badge}</span>' if badge else ''
    return (
        f'<li class="mm-card mm-{badge or "open"}">{_button(match.id, image, text)}'
        f'<div class="mm-line"><b>{match.distance:.3f}</b>{badge_html}</div>'
        f'<div>{escape(_person(match))}</div><div>{escape(camera)}</div><div class="mm-faint">id {match.id}</div></li>'
    )


def _button(number: int | None, image: np.ndarray | None, text: str, css_class: str = 'mm-pick') -> str:
    """Return a picture that starts a search with itself when it is clicked.

    Args:
        number: Id of the image in the gallery, or its index among the examples.
        image: ``(H, W, 3)`` uint8, BGR; None gives a text that cannot be clicked.
        text: Description of the picture.
        css_class: Class of the button in ``page.css``.
    """
    if image is None:
        return picture(image, text)
    return (
        f'<button type="button" class="{css_class}" data-number="{number}" title="Search with this picture">'
        f'{picture(image, text)}</button>'
    )


def example_buttons(images: Sequence[np.ndarray]) -> str:
    """Return the examples, each of which starts a search with itself when it is clicked."""
    buttons = ''.join(
        _button(number, image, f'example {number + 1}', 'mm-example') for number, image in enumerate(images)
    )
    return f'<p class="mm-note">Drawn examples, click one:</p><div class="mm-examples">{buttons}</div>'


def attribute_table(scores: Mapping[str, float], unsure: bool = False) -> str:
    """Return attributes with their scores, predicted ones first.

    Args:
        scores: Scores by name, from 0 to 1.
        unsure: Whether the weights were not trained on pictures like this one.
    """
    entries = sorted(scores.items(), key=lambda entry: -entry[1])
    above = [entry for entry in entries if entry[1] >= THRESHOLD]
    rest = [entry for entry in entries if entry[1] < THRESHOLD]
    warning = f'<p class="mm-outside">{UNSURE_ATTRIBUTES}</p>' if unsure else ''
    shown = _bars(above) if above else note(f'None has a score of {THRESHOLD:g} or more.')
    more = f'<details><summary>{len(rest)} others</summary>{_bars(rest)}</details>' if rest else ''
    return f'<h3>Attributes</h3>{warning}{shown}{more}'


def _bars(entries: Sequence[tuple[str, float]]) -> str:
    rows = ''.join(
        f'<tr><th scope="row">{escape(name)}</th><td><div class="mm-bar"><div style="width:{100 * score:.0f}%"></div>'
        f'</div></td><td class="mm-number">{score:.2f}</td></tr>'
        for name, score in entries
    )
    return f'<table class="mm-bars"><tbody>{rows}</tbody></table>'


def inside(view: Inside) -> str:
    """Return activation maps and gate weights."""
    parts = [f'<h3>Where each stage responds</h3><p class="mm-faint">{MAPS_HELP}</p>{_maps(view.mapped)}']
    if view.gates is not None:
        tables = f'<div class="mm-stages">{_gates(view.gates)}</div>'
        parts.append(f'<h3>Which scale it looks at</h3><p class="mm-faint">{GATES_HELP}</p>{tables}')
    return ''.join(parts)


def _maps(mapped: Sequence[MappedImage]) -> str:
    stages = list(mapped[0].maps)
    titles = ''.join(f'<th scope="col">{escape(title)}</th>' for title in ('image', *stages))
    rows = ''
    for one in mapped:
        height, width = one.image.shape[:2]
        # Enlarged before the heat map is laid over it, which would be coarse otherwise.
        image = cv2.resize(one.image, (max(1, round(PICTURE_HEIGHT * width / height)), PICTURE_HEIGHT))
        cells = ''.join(
            f'<td>{picture(overlay(image, one.maps[name]), f"{one.name}, response of {name}")}</td>' for name in stages
        )
        rows += f'<tr><th scope="row">{picture(image, one.name)}{escape(one.name)}</th>{cells}</tr>'
    return f'<table class="mm-maps"><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>'


def _gates(weights: GateWeights) -> str:
    by_stage = weights.by_stage
    mean = by_stage.mean(0)
    departures = by_stage / mean - 1
    reach = max(SMALLEST_DEPARTURE, np.abs(departures).max())
    titles = ''.join(f'<th scope="col">{stream}</th>' for stream in weights.streams)
    tables = ''
    for stage, name in enumerate(weights.stages):
        rows = f'<tr><th scope="row">mean</th>{"".join(f"<td>{value:.3f}</td>" for value in mean[stage])}</tr>'
        for image, caption in enumerate(weights.images):
            cells = ''
            for value, departure in zip(by_stage[image, stage], departures[image, stage], strict=True):
                color = '214,96,77' if departure > 0 else '67,147,195'
                cells += (
                    f'<td style="background:rgba({color},{0.7 * abs(departure) / reach:.2f})">{value:.3f}'
                    f'<small>{_percent(departure)}</small></td>'
                )
            rows += f'<tr><th scope="row">{escape(caption)}</th>{cells}</tr>'
        tables += (
            f'<table class="mm-gates"><caption>{name}, contrast {weights.mean_contrast[stage]:.3f}</caption>'
            f'<thead><tr><td></td>{titles}</tr></thead><tbody>{rows}</tbody></table>'
        )
    return tables


def _percent(departure: float) -> str:
    text = f'{departure:+.1%}'
    return text[1:] if text[1:] == '0.0%' else text


def people_grid(people: Sequence[Person], info: Mapping) -> str:
    """Return the overview of the gallery.

    Args:
        people: People to show.
        info: Result of the gallery's :meth:`~mmosnet.gallery.Gallery.info`.
    """
    images, identities = info['images'], info['identities']
    threshold = 'none' if info['threshold'] is None else f'{info["threshold"]:.3f}'
    line = f'{images} {_images(images)} of {identities} people. Distance: {info["distance"]}; threshold: {threshold}.'
    cards = ''.join(
        f'<li class="mm-card">{_button(person.shown_id, person.picture, _person(person))}'
        f'<div>{escape(_person(person))}</div><div class="mm-faint">{person.images} {_images(person.images)}</div></li>'
        for person in people
    )
    click = any(person.picture is not None for person in people)
    help_line = '<p class="mm-faint">Click a picture to search with it.</p>' if click else ''
    hidden = identities + bool(info['unknown']) - len(people)
    more = note(f'And {hidden} more people.') if hidden > 0 else ''
    return f'{note(line)}{help_line}<ul class="mm-cards">{cards}</ul>{more}'


def _person(shown: Match | Person) -> str:
    if shown.name:
        return f'{shown.name} ({shown.pid})'
    return 'unknown person' if shown.pid < 0 else f'person {shown.pid}'


class Page:
    """The page and the actions of its buttons.

    Args:
        search: Model and gallery.
        uploads: Folder into which Gradio writes uploads. Files elsewhere are refused.
        examples: Pictures to try, ``(H, W, 3)`` uint8, BGR.
        model: Name of the model, for the line on the weights.
    """

    def __init__(
        self, search: PersonSearch, uploads: str | Path, examples: Sequence[np.ndarray] = (), model: str = ''
    ) -> None:
        self.search = search
        self.model = model
        self.uploads = Path(uploads).resolve()
        self.examples = examples

    def find(self, upload: str | None, top_k: int, camera: str | None) -> tuple[str, str, str, SearchResult | None]:
        """Search with an uploaded picture.

        Returns:
            Ranked list, attributes, an empty text for the look inside, and the result. The first reports a mistake.
        """
        try:
            if upload is None:
                raise DataError('Choose a picture of a person first.')
            result = self.search.search(self._read(upload), int(top_k), _number_in(camera))
        except (DataError, OSError) as e:
            return alert(_message(e)), '', '', None
        return self._answer(result)

    def find_example(self, number: object, top_k: int, camera: str | None) -> tuple:
        """Search with an example; return the picture in RGB, and the result as :meth:`find` does."""
        try:
            image = self.examples[(_number_in(str(number)) or 0) % len(self.examples)]
            result = self.search.search(image, int(top_k), _number_in(camera))
        except (DataError, OSError) as e:
            return gr.skip(), alert(_message(e)), '', '', None
        return image[:, :, ::-1], *self._answer(result)

    def find_stored(self, number: object, top_k: int, camera: str | None) -> tuple:
        """Search with an image of the gallery, by id; return it in RGB, and the result as :meth:`find` does."""
        try:
            id = _number_in(str(number))
            if id is None:
                raise DataError('Click a picture to search with it.')
            image, result = self.search.search_stored(id, int(top_k), _number_in(camera))
        except (DataError, OSError) as e:
            return gr.skip(), alert(_message(e)), '', '', None
        ranked, *rest = self._answer(result)
        left_out = f'Searched with the image with id {id} of the gallery, which is left out below.'
        return image[:, :, ::-1], f'<p class="mm-faint">{left_out}</p>{ranked}', *rest

    def look_inside(self, result: SearchResult | None) -> str:
        """Return activation maps and gate weights of a search."""
        try:
            view = None if result is None else self.search.look_inside(result)
        except (DataError, OSError) as e:
            return alert(_message(e))
        return '' if view is None else inside(view)

    def people(self) -> str:
        """Return the overview of the gallery."""
        try:
            return people_grid(*self.search.people(MOST_PEOPLE))
        except (DataError, OSError) as e:
            return alert(_message(e))

    def enroll(self, uploads: Sequence[str] | None, pid: str | None, camera: str | None) -> tuple[str, str, str]:
        """Add pictures; return a report, the overview, and the lines at the top of the page."""
        try:
            if len(uploads or ()) > MOST_ENROLLED:
                # Checked before they are decoded, up to 120 MB each.
                raise DataError(f'{len(uploads)} pictures: give 1 to {MOST_ENROLLED} of one person at a time.')
            images = [self._read(upload) for upload in uploads or ()]
            enrolled, number = self.search.enroll(images, _person_in(pid), _number_in(camera))
            report = note(f'Enrolled {number} {_images(number)} of person {enrolled}.')
        except (DataError, OSError) as e:
            report = alert(_message(e))
        return report, self.people(), self.about()

    def delete(self, pid: str | None, id: str | None) -> tuple[str, str, str]:
        """Delete; return a report, the overview, and the lines at the top of the page."""
        try:
            number = self.search.delete(_person_in(pid), _number_in(id))
            report = note(f'Deleted {number} {_images(number)}.')
        except (DataError, OSError) as e:
            report = alert(_message(e))
        return report, self.people(), self.about()

    def about(self) -> str:
        """Return the lines on the weights, and on the gallery with its current number of images."""
        number = len(self.search.gallery)
        gallery = note(f'Gallery: {number:,} {_images(number)} in {self.search.gallery.uri}.')
        return f'<h1>Who is this?</h1>{about_model(self.model, self.search.model)}{gallery}'

    def _answer(self, result: SearchResult) -> tuple[str, str, str, SearchResult]:
        drawn_only = self.search.model.knows_drawn_only
        attributes = ''
        if result.attributes is not None:
            attributes = attribute_table(result.attributes, unsure=drawn_only and result.outside)
        ranked = ranked_list(result, self.search.gallery.threshold, drawn_only)
        # Stored per visitor, hence only with the pictures that are looked into.
        return ranked, attributes, '', replace(result, pictures=result.pictures[:COMPARED])

    def _read(self, upload: str) -> np.ndarray:
        if not Path(upload).resolve().is_relative_to(self.uploads):
            raise DataError('This picture was not uploaded here.')
        return read_uploaded(upload)

    def build(self) -> gr.Blocks:
        """Lay out the page."""
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(UPLOADS_CHECKED, UPLOADS_LIVE)) as blocks:
            about = gr.HTML(self.about(), elem_id='mm-about')
            # Updated for each visitor, since the number of images changes.
            blocks.load(self.about, None, about, **QUIET)
            with gr.Tabs() as tabs:
                with gr.Tab('Search', id='search'):
                    inputs, outputs, follow = self._build_search()
                with gr.Tab('Gallery', id='gallery') as tab:
                    people = self._build_gallery(tab, about)

            def find_person(event: gr.EventData, top_k: int, camera: str | None):
                return gr.Tabs(selected='search'), *self.find_stored(_number_of(event), top_k, camera)

            follow(people.click(find_person, inputs, [tabs, *outputs], **QUIET))
        return blocks

    def _build_search(self) -> tuple:
        """Lay out the tab; return inputs and outputs of a search by a click, and a function to call with its event."""
        result = gr.State(time_to_live=REMEMBERED)
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
                # Gradio would decode uploads before they are checked. A subclass would make Gradio write a file beside
                # this module.
                upload.preprocess = _path_of
                _keep_local(upload)
                run = gr.Button('Search', variant='primary', elem_id='mm-search')
                examples = None
                if self.examples:
                    # Given as pixels: Gradio would serve files. gr.Examples would replace the upload component, and
                    # with it the check of uploads.
                    examples = gr.HTML(example_buttons(self.examples), js_on_load=PICK, elem_id='mm-examples')
                top_k = gr.Slider(1, MOST_MATCHES, 10, step=1, label='Images to show')
                camera = _field('Leave out camera', 'none', 'mm-camera')
            with gr.Column(scale=3, min_width=320):
                start = introduction(bool(self.examples), self.search.model.has_attributes)
                ranked = gr.HTML(start, js_on_load=PICK, elem_id='mm-ranked')
                attributes = gr.HTML(elem_id='mm-attributes', visible=self.search.model.has_attributes)
                looked_inside = gr.HTML(elem_id='mm-inside')
        answer = [ranked, attributes, looked_inside, result]

        def find_example(event: gr.EventData, top_k: int, camera: str | None):
            return self.find_example(_number_of(event), top_k, camera)

        def find_stored(event: gr.EventData, top_k: int, camera: str | None):
            return self.find_stored(_number_of(event), top_k, camera)

        def follow(answered: gr.events.Dependency) -> None:
            answered.then(None, js=SHOW_RESULT)
            answered.then(self.look_inside, result, looked_inside, **QUIET)

        follow(run.click(self.find, [upload, top_k, camera], answer, **QUIET))
        if examples is not None:
            follow(examples.click(find_example, [top_k, camera], [upload, *answer], **QUIET))
        follow(ranked.click(find_stored, [top_k, camera], [upload, *answer], **QUIET))
        return [top_k, camera], [upload, *answer], follow

    def _build_gallery(self, tab: gr.Tab, about: gr.HTML) -> gr.HTML:
        """Lay out the tab; return the overview of people."""
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                gr.HTML('<h3>Enroll</h3>')
                # All types are allowed: the page explains what is wrong with a file, a browser would only gray it out.
                files = gr.File(label='Pictures of one person', file_count='multiple', height=170, elem_id='mm-files')
                _keep_local(files)
                pid = _field('Person', 'a new person', 'mm-pid', MOST_NAME)
                camera = _field('Camera', 'unknown', 'mm-camid')
                enroll = gr.Button('Enroll', variant='primary', elem_id='mm-enroll')
                gr.HTML('<h3>Delete</h3>')
                gone = _field('All images of person', 'number or name', 'mm-gone', MOST_NAME)
                gone_id = _field('Or the image with id', 'id', 'mm-gone-id')
                delete = gr.Button('Delete', variant='stop', elem_id='mm-delete')
            with gr.Column(scale=3, min_width=320):
                report = gr.HTML(elem_id='mm-report')
                people = gr.HTML(elem_id='mm-people', js_on_load=PICK)
        enroll.click(self.enroll, [files, pid, camera], [report, people, about], **QUIET).then(
            lambda: None, None, files, api_visibility='private'
        )
        delete.click(self.delete, [gone, gone_id], [report, people, about], **QUIET)
        tab.select(lambda: (self.people(), self.about()), None, [people, about], **QUIET)
        return people


def _keep_local(component: gr.components.Component) -> None:
    """Make a component refuse addresses of pictures, which Gradio would download."""
    move = component.async_move_resource_to_block_cache

    async def move_local(path: str | None) -> str | None:
        if '://' in str(path):
            raise gr.Error('This page downloads nothing: upload the picture.')
        return await move(path)

    component.async_move_resource_to_block_cache = move_local


def _field(label: str, empty: str, elem_id: str, length: int = 12) -> gr.Textbox:
    """Return a field for a whole number or a name. Unlike Gradio's field for numbers, it may be empty."""
    return gr.Textbox(label=label, placeholder=empty, max_lines=1, max_length=length, elem_id=elem_id)


def _person_in(field: str | None) -> int | str | None:
    """Return the number in a field, or the name: any text that does not look like a number."""
    text = (field or '').strip()
    try:
        float(text)
    except ValueError:
        if text and not text.isnumeric():
            return text
    return _number_in(text)


def _number_in(field: str | None) -> int | None:
    text = (field or '').strip()
    if text and not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise DataError(f'{text[:MOST_NAME]!r} is not a whole number that this page takes.')
    return int(text) if text else None


def _number_of(event: gr.EventData) -> object:
    """Return the number of the picture that was clicked; None if the request has none."""
    try:
        return event.number
    except (AttributeError, TypeError):
        return None


def _message(error: DataError | OSError) -> str:
    """Return a message for the page. Errors of the system are given without paths of this machine."""
    return str(error) if isinstance(error, DataError) else f'This machine cannot do it: {error.strerror or error}.'


def _path_of(payload: gr.FileData | None) -> str | None:
    """Return the path of a file that Gradio has stored, without reading it."""
    return None if payload is None else payload.path


def _images(number: int) -> str:
    return 'image' if number == 1 else 'images'
