"""The official evaluation of MARS as a plain loop."""

import numpy as np


def official_mars(distmat, query, gallery):
    """Score as evaluation_mars.m and compute_AP.m do: walk down each sorted list; junk does not count as a place.

    Junk is every gallery tracklet with id -1, and those of the query's id by its camera. Returns mAP and the CMC.
    """
    aps, cmcs = [], []
    for i, row in enumerate(distmat.tolist()):
        same = [int(pid) == int(query.pids[i]) for pid in gallery.pids]
        own_camera = [int(camid) == int(query.camids[i]) for camid in gallery.camids]
        good = {j for j in range(len(gallery)) if same[j] and not own_camera[j]}
        junk = {j for j in range(len(gallery)) if int(gallery.pids[j]) == -1 or (same[j] and own_camera[j])}
        cmc, place, found, ap, old_recall, old_precision = [0] * len(gallery), 0, 0, 0.0, 0.0, 1.0
        for j in sorted(range(len(gallery)), key=lambda j: row[j]):
            if j in junk:
                continue
            if j in good:
                found += 1
                cmc[place:] = [1] * (len(gallery) - place)
            recall, precision = found / len(good), found / (place + 1)
            ap += (recall - old_recall) * (old_precision + precision) / 2
            old_recall, old_precision = recall, precision
            place += 1
            if found == len(good):
                break
        aps.append(ap)
        cmcs.append(cmc)
    return sum(aps) / len(aps), np.mean(cmcs, axis=0)
