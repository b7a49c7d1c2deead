"""Testing in the form for prediction."""

from __future__ import annotations

import copy

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmosnet.models.deploy import switch_to_deploy
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class DeployHook(Hook):
    """Test backbone and neck in the form for prediction, :func:`~mmosnet.models.deploy.switch_to_deploy`.

    mmpretrain's scripts change a model for good; here a copy is tested, and the Runner has the trained one back
    afterwards. Checkpoints are loaded before, in the trained form. The change is made with the first batch and taken
    back after the last one: ``EMAHook`` exchanges weights before and after those, in the trained form.
    """

    PARTS = ('backbone', 'neck')

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """Replace backbone and neck by copies in deploy form."""
        if batch_idx:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.trained = {name: part for name, part in model.named_children() if name in self.PARTS}
        for name, part in self.trained.items():
            setattr(model, name, switch_to_deploy(copy.deepcopy(part)))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Restore the trained backbone and neck."""
        if batch_idx + 1 < len(runner.test_dataloader):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, part in self.trained.items():
            setattr(model, name, part)
