from mmosnet.engine.autocast_optim_wrapper import AutocastOptimWrapper
from mmosnet.engine.base_freeze_hook import BaseFreezeHook
from mmosnet.engine.checkpoint_fit_hook import CheckpointFitHook
from mmosnet.engine.checkpoint_hook import CheckpointHook
from mmosnet.engine.compile_hook import CompileHook
from mmosnet.engine.deploy_hook import DeployHook
from mmosnet.engine.divergence_hook import DivergenceHook
from mmosnet.engine.num_classes_hook import NumClassesHook
from mmosnet.engine.pos_ratio_hook import PosRatioHook
from mmosnet.engine.report_hook import ReportHook
from mmosnet.engine.safe_checkpoint import install as install_safe_checkpoints
from mmosnet.engine.sample_seed_hook import SampleSeedHook

install_safe_checkpoints()

__all__ = [
    'AutocastOptimWrapper',
    'BaseFreezeHook',
    'CheckpointFitHook',
    'CheckpointHook',
    'CompileHook',
    'DeployHook',
    'DivergenceHook',
    'NumClassesHook',
    'PosRatioHook',
    'ReportHook',
    'SampleSeedHook',
]
