# default_runtime.py for attributes: mA decides which evaluation is the best; losses get the frequencies of
# attributes.
_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(save_best='attributes/mA'))
custom_hooks = [
    dict(type='mmosnet.CheckpointFitHook'),
    dict(type='mmosnet.NumClassesHook'),
    dict(type='mmosnet.PosRatioHook'),
    dict(type='mmosnet.SampleSeedHook'),
    # Several processes: average the batch statistics, so that all evaluate what the checkpoint holds.
    dict(type='SyncBuffersHook'),
    dict(type='mmosnet.ReportHook', key='attributes/mA'),
]
# Attribute data sets have a val split to choose on: the chosen model is tested when training ends.
test_best = True
