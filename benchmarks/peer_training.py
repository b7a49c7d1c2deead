"""Trains torchreid for an epoch as its documentation shows; stands alone, so that nothing of ours is imported with it.

``python peer_training.py ROOT HEIGHT WIDTH BATCH WORKERS INTERVAL``: ROOT holds ``market1501``. Prints torchreid's own
lines every INTERVAL iterations, then a JSON line.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings('ignore')


def main() -> None:
    root, *numbers = sys.argv[1:]
    height, width, batch, workers, interval = map(int, numbers)

    from torchreid.reid import data, engine, models, optim

    manager = data.ImageDataManager(
        root=root,
        sources='market1501',
        height=height,
        width=width,
        transforms='random_flip',
        batch_size_train=batch,
        batch_size_test=batch,
        workers=workers,
        use_gpu=False,
    )
    model = models.build_model('osnet_x0_25', manager.num_train_pids, loss='softmax', pretrained=False, use_gpu=False)
    optimizer = optim.build_optimizer(model, optim='amsgrad', lr=0.0015, weight_decay=5e-4)
    scheduler = optim.build_lr_scheduler(optimizer, lr_scheduler='cosine', max_epoch=1)

    class Engine(engine.ImageSoftmaxEngine):
        losses = []

        def forward_backward(self, batch):
            summary = super().forward_backward(batch)
            self.losses.append(summary['loss'])
            return summary

    run = Engine(manager, model, optimizer, scheduler, use_gpu=False, label_smooth=True)
    # What Engine.run sets before it trains; it would go on with a test.
    run.max_epoch = 1
    start = time.perf_counter()
    run.train(print_freq=interval)
    seconds = time.perf_counter() - start
    result = {'batches': len(run.losses), 'mean loss': sum(run.losses) / len(run.losses)}
    sys.stdout.write(json.dumps({'seconds': seconds, 'result': result}) + '\n')


if __name__ == '__main__':
    main()
