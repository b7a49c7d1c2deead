from pathlib import Path

import pytest
import torch

from tests.cli.command import outcome
from tests.models.test_torchreid import reid_model, released_state


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """The command in this process, in an empty folder: gives its output, or its error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: outcome(capsys, 'convert', *arguments)


def test_converts_there_and_back(convert):
    released = released_state('osnet_ain')
    saved = {f'module.{key}': value for key, value in released.items()}
    torch.save({'state_dict': saved, 'epoch': 3, 'rank1': 0.9, 'optimizer': {}}, 'a.pth.tar')
    report = convert('a.pth.tar', 'out/b.pth', '--keep-classifier')
    assert "OSNet-AIN x0.25: backbone=dict(type='OSNet', arch='osnet_ain', widen_factor=0.25)" in report
    assert '552 entries' in report and '7 classes, kept' in report
    checkpoint = torch.load('out/b.pth', weights_only=True)
    assert checkpoint['meta']['arch'] == 'osnet_ain'
    reid_model('osnet_ain').load_state_dict(checkpoint['state_dict'], strict=True)

    assert '--force' in convert('a.pth.tar', 'out/b.pth')
    report = convert('--to-torchreid', 'out/b.pth', 'c.pth')
    assert "build_model('osnet_ain_x0_25', num_classes=7)" in report
    back = torch.load('c.pth', weights_only=True)
    assert list(back) == list(released) and all(torch.equal(back[key], released[key]) for key in released)


def test_converted_file_is_evaluated(workplace):
    torch.save(released_state(), workplace.folder / 'a.pth')
    assert '7 classes, left out' in workplace.succeed('convert_torchreid.py', 'a.pth', 'b.pth')
    converted = workplace.succeed('test.py', workplace.config, 'b.pth')
    direct = workplace.succeed('test.py', workplace.config, 'torchreid://./a.pth')
    assert 'new in the model: head.classifier.weight, head.classifier.bias' in converted
    table = [line for line in converted.splitlines() if '|' in line]
    assert table and table == [line for line in direct.splitlines() if '|' in line]


def test_mistakes_have_messages(convert):
    torch.save({'layer1.weight': torch.zeros(1)}, 'resnet.pth')
    assert 'resnet.pth: this is no released OSNet' in convert('resnet.pth', 'x.pth')
    assert 'no file missing.pth' in convert('missing.pth', 'x.pth')
    assert 'no place' in convert('--to-torchreid', 'resnet.pth', 'x.pth')
    Path('code.pth').write_bytes(b'cposix\nsystem\n(S"touch hacked"\ntR.')
    assert 'was not loaded' in convert('code.pth', 'x.pth')
    assert not Path('hacked').exists() and not Path('x.pth').exists()
