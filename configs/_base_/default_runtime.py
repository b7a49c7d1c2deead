default_scope = 'mmpretrain'
# mmosnet, and mmpretrain without a warning of mmcv-lite's.
custom_imports = dict(imports=['mmosnet.registry'])

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # best_reid_mAP_epoch_N.pth beside the last two.
    checkpoint=dict(type='mmosnet.CheckpointHook', interval=1, max_keep_ckpts=2, save_best='reid/mAP', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [
    dict(type='mmosnet.CheckpointFitHook'),
    dict(type='mmosnet.NumClassesHook'),
    dict(type='mmosnet.SampleSeedHook'),
    # Several processes: average the batch statistics, so that all evaluate what the checkpoint holds.
    dict(type='SyncBuffersHook'),
    dict(type='mmosnet.ReportHook', key='reid/mAP'),
]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
# Fixed, so that two runs of a config are one experiment; --cfg-options randomness.seed=1 makes another.
randomness = dict(seed=0, deterministic=False)
