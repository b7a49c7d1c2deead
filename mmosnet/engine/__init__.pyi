# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.engine.autocast_optim_wrapper import AutocastOptimWrapper as AutocastOptimWrapper
from mmosnet.engine.base_freeze_hook import BaseFreezeHook as BaseFreezeHook
from mmosnet.engine.checkpoint_fit_hook import CheckpointFitHook as CheckpointFitHook
from mmosnet.engine.checkpoint_hook import CheckpointHook as CheckpointHook
from mmosnet.engine.compile_hook import CompileHook as CompileHook
from mmosnet.engine.deploy_hook import DeployHook as DeployHook
from mmosnet.engine.divergence_hook import DivergenceHook as DivergenceHook
from mmosnet.engine.num_classes_hook import NumClassesHook as NumClassesHook
from mmosnet.engine.pos_ratio_hook import PosRatioHook as PosRatioHook
from mmosnet.engine.report_hook import ReportHook as ReportHook
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints as install_safe_checkpoints
from mmosnet.engine.sample_seed_hook import SampleSeedHook as SampleSeedHook
