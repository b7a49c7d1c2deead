"""Measurements of ``tools/benchmark.py`` and ``tools/export_table.py`` in a clone; not part of the installed package.

:mod:`benchmarks.rows` lists what is measured beside torchreid; a row prepares cases (``cases_*``);
:mod:`benchmarks.measure` compares the results of a case, then times both sides in turn; :mod:`benchmarks.report` lays
the measurements out. :mod:`benchmarks.gallery`, :mod:`benchmarks.identities` and :mod:`benchmarks.export_tables` stand
alone.
"""
