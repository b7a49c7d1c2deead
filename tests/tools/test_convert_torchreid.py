import torch

from tests.models.test_torchreid_weights import reid_model, released_state


def test_converts_there_and_back(workplace):
    released = released_state('osnet_ain')
    saved = {f'module.{key}': value for key, value in released.items()}
    torch.save({'state_dict': saved, 'epoch': 3, 'rank1': 0.9, 'optimizer': {}}, workplace.folder / 'a.pth.tar')
    report = workplace.succeed('convert_torchreid.py', 'a.pth.tar', 'out/b.pth', '--keep-classifier')
    assert "OSNet-AIN x0.25: backbone=dict(type='OSNet', arch='osnet_ain', widen_factor=0.25)" in report
    assert '552 entries' in report and '7 classes, kept' in report
    checkpoint = torch.load(workplace.folder / 'out/b.pth', weights_only=True)
    assert checkpoint['meta']['arch'] == 'osnet_ain'
    reid_model('osnet_ain').load_state_dict(checkpoint['state_dict'], strict=True)

    assert '--force' in workplace.fail('convert_torchreid.py', 'a.pth.tar', 'out/b.pth')
    report = workplace.succeed('convert_torchreid.py', '--to-torchreid', 'out/b.pth', 'c.pth')
    assert "build_model('osnet_ain_x0_25', num_classes=7)" in report
    back = torch.load(workplace.folder / 'c.pth', weights_only=True)
    assert list(back) == list(released) and all(torch.equal(back[key], released[key]) for key in released)


def test_converted_file_is_evaluated(workplace):
    torch.save(released_state(), workplace.folder / 'a.pth')
    assert '7 classes, left out' in workplace.succeed('convert_torchreid.py', 'a.pth', 'b.pth')
    converted = workplace.succeed('test.py', workplace.config, 'b.pth')
    direct = workplace.succeed('test.py', workplace.config, 'torchreid://./a.pth')
    assert 'new in the model: head.classifier.weight, head.classifier.bias' in converted
    table = [line for line in converted.splitlines() if '|' in line]
    assert table and table == [line for line in direct.splitlines() if '|' in line]


def test_mistakes_have_messages(workplace):
    torch.save({'layer1.weight': torch.zeros(1)}, workplace.folder / 'resnet.pth')
    assert 'resnet.pth: this is no released OSNet' in workplace.fail('convert_torchreid.py', 'resnet.pth', 'x.pth')
    assert 'no file missing.pth' in workplace.fail('convert_torchreid.py', 'missing.pth', 'x.pth')
    assert 'no place' in workplace.fail('convert_torchreid.py', '--to-torchreid', 'resnet.pth', 'x.pth')
    (workplace.folder / 'code.pth').write_bytes(b'cposix\nsystem\n(S"touch hacked"\ntR.')
    assert 'was not loaded' in workplace.fail('convert_torchreid.py', 'code.pth', 'x.pth')
    assert not (workplace.folder / 'hacked').exists() and not (workplace.folder / 'x.pth').exists()
