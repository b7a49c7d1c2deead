import gzip
import io
import pickle
import tarfile
import zipfile

import pytest
import torch

from mmosnet.runtime.file_kind import file_kind
from tests.apis.small_models import JOINT, small_checkpoint

TEXTS = {
    b'<!DOCTYPE html>\n<html><body>Sign in</body></html>': ('web page', 'download the file itself'),
    b'\xef\xbb\xbf\n <!-- saved -->\n<HTML lang="en">': ('web page', 'download the file itself'),
    b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">': ('web page', 'download'),
    '<html>'.encode('utf-16'): ('web page', 'download'),
    b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n': ('git-lfs', 'git lfs pull'),
    b'/annex/objects/SHA256E-s1--ab.pth\n': ('git-annex', 'git annex get'),
    b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>': ('accessdenied', 'download'),
    b'<rss version="2.0"></rss>': ('XML', 'download'),
    b'{"error": "rate limit"}': ('JSON', 'download'),
    b'[' * 5000: ('JSON', 'download'),
    b'404: Not Found': ('404: Not Found', 'download'),
    b'': ('empty', 'earlier checkpoint'),
    bytes(10_000): ('zeros', 'again'),
    b'\x89HDF\r\n\x1a\n' + bytes(100): ('HDF5', 'torch.save'),
    pickle.dumps([1, 2], protocol=4): ('pickle', 'torch.save'),
    gzip.compress(b'weights'): ('gzip', 'unpack'),
}


@pytest.mark.parametrize(('content', 'named'), TEXTS.items(), ids=[str(i) for i in range(len(TEXTS))])
def test_what_is_no_model_is_named_with_what_to_do(tmp_path, content, named):
    (tmp_path / 'a.pth').write_bytes(content)
    kind = file_kind(tmp_path / 'a.pth')
    assert kind.remedy and all(text in str(kind) for text in named), str(kind)


def test_archives_and_other_formats(tmp_path):
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        archive.addfile(tarfile.TarInfo('model.ckpt.index'), io.BytesIO())
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('weights/model.pth', 'x')
    header = b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'
    (tmp_path / 'a.safetensors').write_bytes(len(header).to_bytes(8, 'little') + header + bytes(12))
    for name, named in dict(tar='tar archive', zip='zip archive', safetensors='load_file').items():
        assert named in str(file_kind(tmp_path / f'a.{name}'))
    assert file_kind(tmp_path).remedy
    with pytest.raises(FileNotFoundError):
        file_kind(tmp_path / 'none')


def test_models_have_no_remedy(tmp_path):
    small_checkpoint(tmp_path / 'a.pth', JOINT)
    torch.save({'w': torch.ones(3)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / 'a.pt')
    (tmp_path / 'a.xml').write_text('<?xml version="1.0"?>\n<net name="osnet" version="11">')
    (tmp_path / 'a.onnx').write_bytes(b'\x08\x0a\x12\x07pytorch\x1a\x062.14.1:\xff\x00')
    expected = {
        'a.pth': 'checkpoint',
        'old.pth': 'legacy checkpoint',
        'a.pt': 'TorchScript',
        'a.xml': 'OpenVINO',
        'a.onnx': 'unknown',
    }
    assert {name: str(file_kind(tmp_path / name)) for name in expected} == expected
