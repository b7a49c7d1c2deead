# The public names; mmosnet/lazy_import.py reads them here.
from mmosnet.engine.checkpoint_hook import CheckpointHook as CheckpointHook
from mmosnet.engine.checks import CheckpointFitHook as CheckpointFitHook
from mmosnet.engine.checks import DivergenceHook as DivergenceHook
from mmosnet.engine.checks import NumClassesHook as NumClassesHook
from mmosnet.engine.hooks import BaseFreezeHook as BaseFreezeHook
from mmosnet.engine.hooks import CompileHook as CompileHook
from mmosnet.engine.hooks import DeployHook as DeployHook
from mmosnet.engine.hooks import PosRatioHook as PosRatioHook
from mmosnet.engine.hooks import SampleSeedHook as SampleSeedHook
from mmosnet.engine.report import ReportHook as ReportHook
from mmosnet.engine.runner import AutocastOptimWrapper as AutocastOptimWrapper
from mmosnet.engine.safe_checkpoint import install_safe_checkpoints as install_safe_checkpoints
