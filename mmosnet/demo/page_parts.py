"""What the page shows of a search and a gallery, as HTML: pictures inside it, never as files to fetch."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np

from mmosnet.demo.person_search import Found, Person
from mmosnet.evaluation.attribute_scores import THRESHOLD
from mmosnet.gallery import Match
from mmosnet.gallery.gallery_report import camera_of

# Height of a picture in a list, in pixels; on the page they are as high at most.
PICTURE_HEIGHT = 192
JPEG_QUALITY = 90


def alert(text: str) -> str:
    """What went wrong."""
    return f'<p class="mm-alert" role="alert">{escape(text)}</p>'


def note(text: str) -> str:
    """A line of information."""
    return f'<p class="mm-note" role="status">{escape(text)}</p>'


def picture(image: np.ndarray | None, text: str, height: int | None = PICTURE_HEIGHT) -> str:
    """An image ``(H, W, 3)`` uint8, BGR, with what it shows in words.

    Args:
        image: None where there is no picture.
        text: For people who do not see it.
        height: Higher ones are reduced to it; None to keep the size.
    """
    if image is None:
        return f'<div class="mm-none" role="img" aria-label="{escape(text)}">no picture here</div>'
    if height is not None and image.shape[0] > height:
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return embedded(data, 'image/jpeg', text)


def embedded(data: bytes, kind: str, text: str) -> str:
    """A picture file within the page."""
    return f'<img src="data:{kind};base64,{base64.b64encode(data).decode()}" alt="{escape(text)}">'


def ranked_list(found: Found, threshold: float | None) -> str:
    """The verdict in a sentence, and the matches, nearest first."""
    cards = ''.join(
        _card(rank, match, image)
        for rank, (match, image) in enumerate(zip(found.matches, found.pictures, strict=True), 1)
    )
    return f'{note(verdict(found.matches, threshold))}<ol class="mm-cards">{cards}</ol>'


def verdict(matches: Sequence[Match], threshold: float | None) -> str:
    """Who it is, as far as the distances tell."""
    if not matches:
        return 'Nobody to compare with: the gallery is empty, or all its images are by the camera left out.'
    nearest = matches[0]
    where = f'{_person(nearest)} at distance {nearest.distance:.3f}'
    if threshold is None:
        return f'Nearest: {where}. This gallery has no threshold, so nothing says whether it is the same person.'
    if nearest.same_person:
        return f'The same person: {where}, within the threshold of {threshold:.3f}.'
    return f'Nobody in the gallery: the nearest is {where}, beyond the threshold of {threshold:.3f}.'


def _card(rank: int, match: Match, image: np.ndarray | None) -> str:
    kind, word = {True: ('same', 'same'), False: ('other', 'other'), None: ('open', '')}[match.same_person]
    camera = 'camera unknown' if match.camid < 0 else f'camera {camera_of(match)}'
    text = f'rank {rank}: {_person(match)}, {camera}, distance {match.distance:.3f}' + (word and f', {word} person')
    badge = f'<span class="mm-badge">{word}</span>' if word else ''
    return (
        f'<li class="mm-card mm-{kind}">{picture(image, text)}'
        f'<div class="mm-line"><b>{match.distance:.3f}</b>{badge}</div>'
        f'<div>{escape(_person(match))}</div><div>{escape(camera)}</div><div class="mm-faint">id {match.id}</div></li>'
    )


def example_buttons(images: Sequence[np.ndarray]) -> str:
    """Pictures to choose from."""
    buttons = ''.join(
        f'<button type="button" class="mm-example" data-index="{number}">{picture(image, f"example {number + 1}")}'
        '</button>'
        for number, image in enumerate(images)
    )
    return f'<p class="mm-note">Examples, drawn people:</p><div class="mm-examples">{buttons}</div>'


def attribute_table(scores: Mapping[str, float]) -> str:
    """Attributes with their scores, those that the person has first."""
    entries = sorted(scores.items(), key=lambda entry: -entry[1])
    told = [entry for entry in entries if entry[1] >= THRESHOLD]
    rest = [entry for entry in entries if entry[1] < THRESHOLD]
    shown = _bars(told) if told else note(f'None has a score of {THRESHOLD:g} or more.')
    more = f'<details><summary>{len(rest)} others</summary>{_bars(rest)}</details>' if rest else ''
    return f'<h3>Attributes</h3>{shown}{more}'


def _bars(entries: Sequence[tuple[str, float]]) -> str:
    rows = ''.join(
        f'<tr><th scope="row">{escape(name)}</th><td><div class="mm-bar"><div style="width:{100 * score:.0f}%"></div>'
        f'</div></td><td class="mm-number">{score:.2f}</td></tr>'
        for name, score in entries
    )
    return f'<table class="mm-bars"><tbody>{rows}</tbody></table>'


def inside(sheet: np.ndarray, figure: bytes | None) -> str:
    """Activation maps and gate weights."""
    maps = picture(sheet, 'activation maps of each stage, of the query and its nearest images', height=None)
    parts = [f'<h3>Where each stage responds</h3><div class="mm-wide">{maps}</div>']
    if figure is not None:
        weights = embedded(figure, 'image/png', 'mean gate weights of the streams, by stage and image')
        parts.append(
            '<h3>Which scale it looks at</h3><p class="mm-faint">Gate weights of the streams. Rows as above: the query '
            f'and its nearest images.</p><div class="mm-wide mm-figure">{weights}</div>'
        )
    return ''.join(parts)


def people_grid(people: Sequence[Person], info: Mapping) -> str:
    """Who is in the gallery."""
    images, identities = info['images'], info['identities']
    threshold = 'none' if info['threshold'] is None else f'{info["threshold"]:.3f}'
    line = f'{images} images of {identities} people. Distance: {info["distance"]}; threshold: {threshold}.'
    cards = ''.join(
        f'<li class="mm-card">{picture(person.picture, _person(person))}<div>{escape(_person(person))}</div>'
        f'<div class="mm-faint">{person.images} {"image" if person.images == 1 else "images"}</div></li>'
        for person in people
    )
    hidden = identities + bool(info['unknown']) - len(people)
    more = note(f'And {hidden} more people.') if hidden > 0 else ''
    return f'{note(line)}<ul class="mm-cards">{cards}</ul>{more}'


def _person(shown: Match | Person) -> str:
    if shown.name:
        return f'{shown.name} ({shown.pid})'
    return 'unknown person' if shown.pid < 0 else f'person {shown.pid}'
