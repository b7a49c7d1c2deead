"""OSNet x1.0 on Market-1501 with cross-entropy + 0.5 x batch-hard triplet loss, 16 identities x 4 images per batch.

    mmosnet train osnet_reid_market_triplet

No published number for exactly this recipe. Not yet run by us: needs the data set.
"""

_base_ = './osnet_reid_market_cosine.py'

model = dict(head=dict(metric_loss=dict(type='mmosnet.TripletLoss', margin=0.3, loss_weight=0.5)))
train_dataloader = dict(
    batch_size=64,
    sampler=dict(_delete_=True, type='mmosnet.PKSampler', num_pids=16, num_instances=4),
)
