"""How common each attribute is: from the training set into the loss."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmosnet.errors import DataError
from mmosnet.models.losses import WeightedBCELoss
from mmosnet.registry import HOOKS


@HOOKS.register_module()
class PosRatioHook(Hook):
    """Give every :class:`~mmosnet.models.WeightedBCELoss` of the model the training set's ``metainfo['pos_ratio']``.

    Shares that the config gives hold instead. Those of a checkpoint that training starts from are replaced: another
    data set has others. Neither mmengine nor mmpretrain has a way from a data set to a loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the share of positives of each attribute in the losses.

        Raises:
            DataError: A weighted loss, and a training set that says nothing or has another number of attributes.
        """
        pos_ratio = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('pos_ratio')
        # Also inside JointHead and model wrappers.
        for name, module in runner.model.named_modules():
            if not isinstance(module, WeightedBCELoss):
                continue
            ratio = pos_ratio if module.given_pos_ratio is None else module.given_pos_ratio
            if ratio is not None:
                module.set_pos_ratio(ratio)
            elif module.mode != 'plain':
                raise DataError(
                    f"{name} (WeightedBCELoss, mode='{module.mode}') needs the share of positives of each attribute, "
                    "and the training set has no metainfo['pos_ratio']: train on one of mmosnet's attribute data sets, "
                    "which count it in their training annotation; or give the loss pos_ratio=[...], or mode='plain'"
                )
