"""``torch.compile`` of the backbone, in training and testing."""

from __future__ import annotations

import os
import shutil

import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmosnet.errors import DataError
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the backbone; names in checkpoints stay as they are.

    mmengine's own ``compile=True`` compiles the whole training step, logging included, and gains nothing. Each size of
    batch is compiled by itself, a minute or two in training, seconds in testing: the loaders of a long run pay for it.

    Raises:
        DataError: A CPU without a C++ compiler, which ``torch.compile`` calls.
    """

    # After DeployHook.
    priority = 'LOW'

    def __init__(self) -> None:
        if not torch.cuda.is_available() and not any(map(shutil.which, (os.environ.get('CXX', 'g++'), 'clang++'))):
            raise DataError('--compile needs a C++ compiler on a CPU: install g++, or name one in the variable CXX')

    def before_train(self, runner: Runner) -> None:
        """Compile for training and its validation."""
        self._compile(runner)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Compile for testing, after :class:`~mmosnet.engine.DeployHook` has replaced the modules."""
        if batch_idx == 0:
            self._compile(runner)

    @staticmethod
    def _compile(runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        MMLogger.get_current_instance().info('Compiling the backbone: the first iterations take a minute or two')
        # Shapes repeat: kernels for one shape are faster than kernels for any.
        model.backbone.compile(dynamic=False)
