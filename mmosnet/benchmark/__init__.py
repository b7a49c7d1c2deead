"""Measures mmosnet beside torchreid and beside what the machine can do (``tools/benchmark.py``).

One line: :mod:`rows` lists what is measured; a row prepares cases; :mod:`measurement` compares the results of a case,
then times both sides in turn; :mod:`report` lays the measurements out.
"""
