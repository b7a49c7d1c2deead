"""osnet_video_reid_mars.py under the protocol of torchreid, as far as we know that of most later papers.

    mmosnet train osnet_video_reid_mars_torchreid
    mmosnet test osnet_video_reid_mars_torchreid work_dirs/osnet_video_reid_mars/epoch_60.pth

The queries are taken out of the gallery, 140 of 1,980 then have no match and do not count, and mAP is computed by
rectangles. As in torchreid a test averages 15 evenly spaced frames.

We know of no published result of OSNet on MARS. Not yet run by us: needs the data set.
"""

_base_ = './osnet_video_reid_mars.py'

val_dataloader = dict(
    dataset=dict(
        protocol='torchreid',
        clip_length=None,
        pipeline=[
            dict(
                type='mmosnet.TrackletFrames',
                num_frames=15,
                sampling='evenly',
                transforms=[
                    dict(type='mmosnet.LoadPersonImage'),
                    dict(type='Resize', scale=(128, 256), interpolation='bilinear', backend='pillow'),
                ],
            ),
            dict(type='PackInputs', algorithm_keys=('pid', 'camid', 'split', 'tracklet')),
        ],
    )
)
val_evaluator = dict(average_precision='rectangle')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
