"""The page as a person uses it, in Chromium."""

import os
import shutil
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from mmosnet.demo.pictures import MAX_BYTES

pytestmark = pytest.mark.browser
NAMES = ('chromium', 'chromium-browser', 'google-chrome')
# Milliseconds: other tests may have the cores.
TIMEOUT = 90_000


@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip('playwright.sync_api')
    with playwright.sync_playwright() as started:
        own = started.chromium.executable_path
        found = next(filter(None, map(shutil.which, NAMES)), own if os.path.exists(own) else None)
        if found is None and not os.environ.get('MMOSNET_REQUIRE_BROWSER'):
            pytest.skip(
                f'no Chromium: none of {", ".join(NAMES)}, and none of playwright (playwright install chromium)'
            )
        browser = started.chromium.launch(executable_path=found, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser, address):
    """A page that only asks its own server, and has no errors."""
    context = browser.new_context(viewport=dict(width=1280, height=900))
    context.set_default_timeout(TIMEOUT)
    tab = context.new_page()
    hosts, errors = set(), []
    tab.on('request', lambda request: hosts.add(urlsplit(request.url).netloc))
    tab.on('console', lambda message: errors.append(message.text) if message.type == 'error' else None)
    tab.on('pageerror', lambda error: errors.append(str(error)))
    tab.goto(address, timeout=TIMEOUT)
    tab.wait_for_selector('#mm-search')
    yield tab
    context.close()
    # What is inside the page has no host.
    assert hosts - {''} == {urlsplit(address).netloc}
    assert not errors


def search(tab) -> str:
    """The verdict, of the first search on a page."""
    tab.click('#mm-search')
    tab.wait_for_selector('#mm-ranked .mm-cards, #mm-ranked .mm-alert')
    return tab.inner_text('#mm-ranked p')


def test_upload_search_result(tab, drawn):
    tab.set_input_files('#mm-query input[type=file]', drawn[1][0])
    tab.wait_for_selector('#mm-query img')
    assert search(tab).startswith('The same person: person 203 at distance 0.')
    cards = tab.locator('#mm-ranked .mm-card')
    assert cards.count() == 10
    assert cards.first.locator('img').get_attribute('alt').startswith('rank 1: person 203, camera ')
    assert (
        cards.first.locator('.mm-badge').inner_text() == 'same'
        and cards.last.locator('.mm-badge').inner_text() == 'other'
    )
    # Pixels have arrived, not broken pictures.
    assert cards.first.locator('img').evaluate('image => [image.naturalWidth, image.naturalHeight]') == [64, 128]
    assert tab.locator('#mm-attributes tr').count() == 26
    tab.wait_for_selector('#mm-inside .mm-gates')
    # Query and two matches: the image, three stages and the last convolution; weights of three stages.
    widths = tab.locator('#mm-inside img').evaluate_all('images => images.map(image => image.naturalWidth)')
    assert widths == [96] * 15 and tab.locator('#mm-inside .mm-gates').count() == 3


def test_a_photograph_gets_no_verdict(tab, tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (200, 100, 3), np.uint8)
    (tmp_path / 'photograph.jpg').write_bytes(cv2.imencode('.jpg', image)[1].tobytes())
    tab.set_input_files('#mm-query input[type=file]', tmp_path / 'photograph.jpg')
    tab.wait_for_selector('#mm-query img')
    assert search(tab).startswith('No verdict')
    assert tab.locator('#mm-ranked .mm-card').count() == 10 and tab.locator('.mm-badge').count() == 0
    assert 'drawn people only' in tab.inner_text('#mm-about')


def test_pictures_search_when_clicked(tab):
    tab.locator('#mm-examples button').first.click()
    tab.wait_for_selector('#mm-ranked .mm-card')
    second = tab.locator('#mm-ranked .mm-card').nth(1)
    id = second.locator('button').get_attribute('data-number')
    second.locator('button').click()
    # Once, although the list has been replaced: the picture clicked is the query and is left out.
    tab.wait_for_selector(f'#mm-ranked p:has-text("id {id} ")')
    assert id not in tab.locator('#mm-ranked button').evaluate_all('all => all.map(b => b.dataset.number)')
    tab.get_by_role('tab', name='Gallery').click()
    card = tab.locator('#mm-people .mm-card', has_text='person 217')
    id = card.locator('button').get_attribute('data-number')
    card.locator('button').press('Enter')
    tab.wait_for_selector(f'#mm-ranked p:has-text("id {id} ")', state='visible')
    assert tab.locator('#mm-ranked .mm-verdict').inner_text().startswith('The same person: person 217')
    # The browser may show the query after the answer.
    tab.wait_for_selector('#mm-query img', state='visible')


@pytest.mark.parametrize('width', [400, 900, 1400])
def test_widths(tab, width):
    tab.set_viewport_size(dict(width=width, height=900))
    assert tab.locator('#mm-ranked .mm-intro').is_visible()
    examples = tab.locator('#mm-examples button')
    boxes = [examples.nth(i).bounding_box() for i in range(5)]
    assert len({(round(box['y']), round(box['width']), round(box['height'])) for box in boxes}) == 1
    examples.first.click()
    tab.wait_for_selector('#mm-inside .mm-gates')
    assert tab.evaluate('document.documentElement.scrollWidth') <= width
    cells = tab.locator('.mm-gates td, .mm-gates th, .mm-gates small, .mm-maps th')
    sizes = cells.evaluate_all('all => all.map(cell => parseFloat(getComputedStyle(cell).fontSize))')
    assert min(sizes) >= 11
    # No text reaches beyond its cell.
    assert cells.evaluate_all('all => all.every(cell => cell.scrollWidth <= cell.clientWidth + 1)')


def test_an_example_by_keyboard_and_a_narrow_screen(tab):
    tab.set_viewport_size(dict(width=400, height=800))
    example = tab.locator('#mm-examples button').last
    assert example.locator('img').get_attribute('alt') == 'example 5'
    example.focus()
    tab.keyboard.press('Enter')
    # It searches at once.
    tab.wait_for_selector('#mm-ranked .mm-card')
    assert tab.locator('#mm-query img').count() == 1
    assert tab.inner_text('#mm-ranked p').startswith('Nobody in the gallery: the nearest is person')
    # The result is in sight, and nothing sticks out.
    tab.wait_for_function("document.getElementById('mm-ranked').getBoundingClientRect().top < 400")
    assert tab.evaluate('document.documentElement.scrollWidth') <= 400
    # What can be filled in has a name.
    for label in ('Images to show', 'Leave out camera'):
        assert tab.get_by_label(label).count() >= 1


def test_wrong_files_are_refused(tab, tmp_path):
    (tmp_path / 'text.png').write_text('no picture')
    tab.set_input_files('#mm-query input[type=file]', tmp_path / 'text.png')
    tab.wait_for_selector('#mm-query button[aria-label="Clear"], #mm-query img', state='attached')
    assert search(tab).startswith('This is not a picture that can be read')
    assert tab.locator('#mm-ranked [role=alert]').count() == 1 and tab.locator('.mm-card').count() == 0


def test_a_file_that_is_too_large(tab, tmp_path):
    (tmp_path / 'large.png').write_bytes(bytes(MAX_BYTES + 1))
    tab.set_input_files('#mm-query input[type=file]', tmp_path / 'large.png')
    tab.wait_for_selector('.toast-body')
    assert 'size' in tab.inner_text('.toast-body').lower()
    assert search(tab) == 'Choose a picture of a person first.'


def test_enroll_and_delete(tab, drawn, tmp_path):
    before = len(drawn[0].gallery)
    files = []
    for number in range(2):
        path = tmp_path / f'{number}.jpg'
        path.write_bytes(cv2.imencode('.jpg', np.full((200, 100, 3), (250 * number, 40, 200), np.uint8))[1].tobytes())
        files.append(path)
    assert f'{before} images' in tab.inner_text('#mm-about')
    tab.get_by_role('tab', name='Gallery').click()
    tab.wait_for_selector('#mm-people .mm-card')
    tab.set_input_files('#mm-files input[type=file]', files)
    tab.wait_for_selector('#mm-files .file-preview')
    tab.get_by_label('Camera', exact=True).fill('6')
    tab.click('#mm-enroll')
    tab.wait_for_selector('#mm-report p')
    assert tab.inner_text('#mm-report p') == 'Enrolled 2 images of person 225.' and len(drawn[0].gallery) == before + 2
    assert tab.locator('#mm-people .mm-card', has_text='person 225').count() == 1
    tab.wait_for_function(f"document.getElementById('mm-about').innerText.includes('{before + 2} images')")
    # Another visitor sees the present number too.
    tab.reload()
    tab.wait_for_function(f"document.getElementById('mm-about')?.innerText.includes('{before + 2} images')")
    tab.get_by_role('tab', name='Gallery').click()
    tab.wait_for_selector('#mm-people .mm-card')
    tab.get_by_label('All images of person').fill('225')
    tab.click('#mm-delete')
    tab.wait_for_selector('#mm-report p:has-text("Deleted 2 images.")')
    assert len(drawn[0].gallery) == before
    tab.wait_for_function(f"document.getElementById('mm-about').innerText.includes('{before} images')")
    tab.click('#mm-delete')
    tab.wait_for_selector('#mm-report [role=alert]:has-text("There is no person 225 in the gallery.")')
