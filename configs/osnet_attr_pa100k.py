"""OSNet x1.0 on PA-100K, from scratch: the recipe of the paper's released code.

    mmosnet train osnet_attr_pa100k

SGD 0.065, 50 epochs, global maximum in place of the average, both classes weighted by exp(-r) as released. The epoch
is chosen on val and reported on test when training ends (the released code chooses it on test); another one by:

    mmosnet test osnet_attr_pa100k work_dirs/osnet_attr_pa100k/best_attributes_mA_epoch_N.pth

Paper, as reported: mA 74.6, Accuracy 76.0, Precision 88.3, Recall 82.5, F1 85.3. Not yet run by us: needs the data set.
"""

_base_ = [
    './_base_/models/osnet_attr.py',
    './_base_/datasets/pa100k.py',
    './_base_/schedules/sgd_step_50e.py',
    './_base_/attribute_runtime.py',
]

model = dict(neck=dict(pooling='max'), head=dict(loss=dict(mode='released')))
