import json
import shutil

import cv2
import numpy as np

from tests.datasets.coco_miniature import write_coco

# Turns the workplace's data sets into frames with boxes.
COCO = """
people = dict(
    type='mmosnet.CocoPerson',
    data_root={root!r},
    ann_files=dict(train='train.json', query='query.json', gallery='gallery.json'),
    data_prefix=dict(img_path='frames'),
    margin=0.1,
    mask_background=True,
)
for loader in (train_dataloader, val_dataloader, test_dataloader):
    loader['dataset'] = dict(loader['dataset'], **people)
    # Crops of several sizes cannot be one batch.
    loader['dataset']['pipeline'].insert(1, dict(type='Resize', scale=(16, 32)))
"""


def test_report_numbers_and_picture(workplace):
    output = workplace.succeed('check_data.py', workplace.config, '--out-dir', 'out')
    for text in ('    train |     24 |          6', 'identities by camera', 'broken: 0, warnings: 0'):
        assert text in output, text
    out = workplace.folder / 'out'
    report = json.loads((out / 'check_data.json').read_text())
    assert report['parts']['gallery']['distractors'] == 1
    assert report['broken'] == report['warnings'] == []
    # A line of titles and ten people with two cameras.
    sheet = cv2.imread(str(out / 'contact_sheet.jpg'))
    assert sheet.shape[1] == 120 + 2 * 72 and sheet.shape[0] == 19 + 10 * 147
    assert 'UserWarning' not in output


def test_warnings_end_with_0_and_broken_files_with_1(workplace):
    source = sorted((workplace.data / 'query').iterdir())[0]
    shutil.copy(source, workplace.data / 'bounding_box_train' / '0001_c1s1_000700_00.jpg')
    output = workplace.succeed('check_data.py', workplace.config)
    assert 'warning: train and query: 1 images are in both' in output and 'warnings: 1' in output
    assert (workplace.folder / 'work_dirs' / 'tiny' / 'check_data' / 'contact_sheet.jpg').is_file()
    source.write_bytes(source.read_bytes()[:50])
    result = workplace.run('check_data.py', workplace.config, '--num-workers', '1')
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    assert f'broken: {source}: unreadable image' in result.stdout
    result = workplace.run('check_data.py', workplace.config, '--data-root', 'nowhere')
    assert result.returncode == 1 and 'nowhere/bounding_box_train' in result.stdout and 'broken: 2' in result.stdout
    assert 'no config nowhere.py' in workplace.fail('check_data.py', 'nowhere.py')


def test_boxes_in_frames_are_checked_trained_evaluated_and_shown_as_crops(workplace):
    root = write_coco(workplace.folder / 'coco')
    with workplace.config.open('a') as file:
        file.write(COCO.format(root=str(root)))
    output = workplace.succeed('check_data.py', workplace.config, '--out-dir', 'out')
    assert '    train |     24 |          6' in output and 'broken: 0' in output
    for path in root.glob('*.json'):
        path.write_text(path.read_text().replace('"person_id"', '"track_id"'))
    result = workplace.run('check_data.py', workplace.config)
    assert result.returncode == 1 and 'val_dataloader.dataset.id_key=FIELD' in result.stdout
    output = workplace.succeed('check_data.py', workplace.config, '--id-key', 'track_id')
    assert '    train |     24 |          6' in output and 'broken: 0' in output
    for path in root.glob('*.json'):
        path.write_text(path.read_text().replace('"track_id"', '"person_id"'))

    train = ('train.py', workplace.config, '--work-dir', 'run', '--cfg-options')
    options = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.num_workers=1')
    output = workplace.succeed(*train, *options)
    assert 'CocoPerson in ' in output and 'best (epoch 1)' in output
    assert 'creating index' not in output
    results = json.loads((workplace.folder / 'run' / 'results.json').read_text())
    assert 0 < results['last']['metrics']['reid/mAP'] <= 1
    sheet = cv2.imread(str(workplace.folder / 'run' / 'ranked_lists.jpg'))
    # The first frame begins below the texts, which keep off the border.
    top = int(np.argmax(sheet[:, 1].min(axis=1) < 100))
    # Crops fill their cells. A frame of 90 x 60 would show its gray ground at the middle of the top.
    for column in range(3):
        left = 4 + column * 88 + (16 if column else 0)
        assert sheet[top + 4 + 30, left + 40].mean() > 100
