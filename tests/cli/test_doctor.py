import json
import subprocess
import sys

import pytest

from mmosnet.cli import doctor
from mmosnet.cli.main import main
from tests.cli.conftest import REPOSITORY


@pytest.fixture(scope='module')
def report():
    return doctor.examine()


def test_this_machine(report):
    import torch

    parts = {part['name']: part for part in report['stack']}
    assert parts['torch']['version'].split('+')[0] == torch.__version__.split('+')[0]
    assert parts['mmcv']['distribution'] in ('mmcv', 'mmcv-lite', 'onedl-mmcv')
    assert report['torch']['capability'] == torch.backends.cpu.get_cpu_capability()
    assert isinstance(report['torch']['bfloat16'], bool) and 'error' not in report['torch']
    text = '\n'.join(doctor.report_lines(report))
    for part in ('supported', 'processor', 'GPU', '--amp', 'slow here', 'problems', str(report['configs']['folder'])):
        assert part in text


def test_extras_are_those_of_the_package():
    import configparser

    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg')
    declared = set(config['options.extras_require'])
    # Those of developers are not for users to choose.
    assert declared - {'tests', 'testing', 'peer', 'all'} == set(doctor.EXTRAS)


def broken(report, **changes):
    return list(doctor._problems({**report, **changes}))


def test_what_is_missing_or_not_supported_is_a_problem(report, monkeypatch):
    for number, problem in (('2.5.1', 'not supported'), (None, 'missing')):
        versions = {'torch': number}
        monkeypatch.setattr(doctor, '_version', lambda name, versions=versions: versions.get(name, '9'))
        torch = next(part for part in doctor.stack() if part['name'] == 'torch')
        assert torch['problem'].startswith(problem) and 'torch' in torch['problem'].partition('pip install')[2]
    both = next(part for part in doctor.stack() if part['name'] == 'mmcv')
    assert both['problem']
    assert any('undefined symbol' in line for line in broken(report, torch=dict(error='undefined symbol: x')))
    folder = dict(use='home', folder='/home/x', problem='Read-only file system')
    assert any('/home/x' in line for line in broken(report, folders=[folder]))
    assert any('no configs' in line for line in broken(report, configs=dict(folder='x', number=0)))


def test_what_will_be_slow(report, monkeypatch):
    monkeypatch.setattr(doctor, '_shared_memory', lambda: 64 << 20)
    machine = dict(report['processor'], cores=8, threads_variable='1')
    torch = dict(threads=1, capability='AVX2', gpus=[], cuda=None, bfloat16=False)
    slow = '\n'.join(doctor._slow({**report, 'processor': machine, 'torch': torch}))
    for cause in ('no GPU', 'no AVX-512', 'OMP_NUM_THREADS=1', '64 MB'):
        assert cause in slow


def test_a_torch_that_is_broken_is_reported_and_ends_with_1(tmp_path):
    (tmp_path / 'torch').mkdir()
    (tmp_path / 'torch' / '__init__.py').write_text("raise OSError('libtorch.so: undefined symbol')\n")
    program = 'import sys\nfrom mmosnet.cli.main import main\nsys.exit(main(["doctor", "--json"]))'
    path = f'{tmp_path}:{REPOSITORY}'
    done = subprocess.run([sys.executable, '-c', program], env={'PYTHONPATH': path}, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert any('undefined symbol' in problem for problem in json.loads(done.stdout)['problems'])


def test_json_is_the_report(capsys, monkeypatch, report):
    monkeypatch.setattr(doctor, 'examine', lambda: report)
    assert main(['doctor', '--json']) == bool(report['problems'])
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(report))
