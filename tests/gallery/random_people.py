"""Random features for tests of galleries, and naive searches in them."""

import numpy as np

from mmosnet.features import Features

# Names of tracks, the last of which stands for single images; and of attributes.
TRACKS = ['7', 'Gasse, links', 'Zoë "2"', "it's; 1, 2", '']
ATTRIBUTES = ['backpack', 'hat', 'skirt, long', '%', 'back"pack', "a\\b'", 'Höhe']


def people(number, dimension=8, seed=0, model='abc', names='p'):
    """Return random features; some have no person, camera or time, and one embedding comes twice."""
    random = np.random.RandomState(seed)
    embedding = random.randn(number, dimension).astype(np.float32)
    if number > 3:
        embedding[number // 2] = embedding[0]
    return Features(
        embedding=embedding,
        path=[f'{names}{seed}/{i}.jpg#xywh=0,0,8,16' for i in range(number)],
        pid=random.randint(-1, 5, number),
        camid=random.randint(-1, 4, number),
        time=np.where(random.rand(number) < 0.2, np.nan, random.randint(0, 50, number)),
        model=model,
    )


def tracks(number, dimension=8, seed=0):
    """Return random features, most of which are tracks, with random attributes."""
    random = np.random.RandomState(seed + 1000)
    features = people(number, dimension, seed, names='t')
    track = [TRACKS[choice] for choice in random.randint(0, len(TRACKS), number)]
    frames = [random.randint(1, 90) if name else 1 for name in track]
    attributes = [[name for name in ATTRIBUTES if random.rand() < 0.6] for _ in range(number)]
    columns = dict(track=track, frames=frames, attributes=attributes)
    return Features(**vars(features) | columns)


def named(pids, camids=None, seed=0, source=''):
    """Return features of people and cameras with these names."""
    number = len(pids)
    embedding = np.random.RandomState(seed).randn(number, 8)
    path = [f'crops/{seed}/{row}.jpg' for row in range(number)]
    camids = [-1] * number if camids is None else camids
    return Features(embedding, path, pids, camids, np.full(number, np.nan), 'abc', source=source)


def nearest(features, query, top_k, distance='cosine', wanted=None):
    """Return rows and distances of one query's nearest, in double precision, from the definitions."""
    rows, distances = [], []
    x = query.astype(np.float64)
    for row in range(len(features)):
        if wanted is None or wanted[row]:
            y = features.embedding[row].astype(np.float64)
            cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            rows.append(row)
            distances.append(1 - cosine if distance == 'cosine' else np.linalg.norm(x - y))
    # Copies of one vector are equally far, whatever the rounding.
    order = np.lexsort((rows, np.round(distances, 9)))[:top_k]
    return np.array(rows, int)[order], np.array(distances)[order]


def everything(gallery):
    """Return all that a gallery holds, comparable."""
    features = gallery.features()
    columns = [features.embedding.tobytes(), features.path, features.pid.tolist(), features.camid.tolist()]
    matches = [(match.id, match.distance, match.path) for match in gallery.search(np.ones((1, 8)), 99)[0]]
    return [*columns, repr(features.time), gallery.ids().tolist(), gallery.pids(), matches, gallery.settings]
