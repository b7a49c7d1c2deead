# default_runtime.py with top-1 accuracy as the score that decides which evaluation is the best.
_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(save_best='accuracy/top1'))
custom_hooks = [
    dict(type='mmosnet.CheckpointFitHook'),
    dict(type='mmosnet.NumClassesHook'),
    dict(type='mmosnet.SampleSeedHook'),
    # Several processes: average the batch statistics, so that all evaluate what the checkpoint holds.
    dict(type='SyncBuffersHook'),
    dict(type='mmosnet.ReportHook', key='accuracy/top1'),
]
