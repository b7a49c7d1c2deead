from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmosnet.engine import CompileHook
from mmosnet.errors import DataError


def test_the_backbone_is_compiled_and_names_stay(monkeypatch):
    model = nn.Module()
    model.backbone = nn.Linear(2, 2)
    names, given, compiled = list(model.state_dict()), torch.rand(1, 2), []

    def compile(function, **options):
        compiled.append(options)
        return function

    # What Module.compile calls; the compiler itself takes a minute.
    monkeypatch.setattr(torch, 'compile', compile)
    hook = CompileHook()
    hook.before_train(SimpleNamespace(model=model))
    assert compiled == [dict(dynamic=False)]
    assert list(model.state_dict()) == names
    assert model.backbone(given).shape == (1, 2)
    for batch_idx in range(2):
        hook.before_test_iter(SimpleNamespace(model=model), batch_idx)
    assert len(compiled) == 2


def test_a_missing_compiler_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setenv('PATH', '')
    with pytest.raises(DataError, match=r'--compile needs a C\+\+ compiler.*g\+\+'):
        CompileHook()
