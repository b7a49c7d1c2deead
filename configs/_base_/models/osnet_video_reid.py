# The model of osnet_reid.py on tracklets: frames are images, their embeddings are averaged.
_base_ = './osnet_reid.py'

model = dict(
    data_preprocessor=dict(type='mmosnet.TrackletPreprocessor'),
    # The losses see single frames, as in torchreid; train_on='tracklets' gives them the averages.
    head=dict(type='mmosnet.TrackletHead', pooling='mean', train_on='frames'),
)
