"""Compile what both tasks run, or load it, before there is work."""

from functools import cache

import numpy as np

from driftline.columns.shape import Limits
from driftline.evidence.building import build_reference
from driftline.evidence.detectors import DETECTORS, USUAL
from driftline.evidence.evalues import Evidence
from driftline.evidence.news import news_of
from driftline.evidence.projection import Projection
from driftline.evidence.scores import Scores
from driftline.formats.native import CHUNK
from driftline.panes.records import PaneRecord
from driftline.sketches.packing import pack_cells, unpack_cells
from driftline.tasks.summarise import Summarise, SummariseSettings

RUN_LENGTH = 1_000.0
"""Of detectors that are made only so that their library is loaded."""


@cache
def warm_up() -> None:
    """Compile: 20 s on a new machine, one second afterwards, once a process.

    Better before a worker joins its group than with its first records: a member must be heard of in time.
    """
    settings = SummariseSettings(0, 0, None, Limits(), lambda _: 1_000, lambda _: ("tag",))
    record = b'{"model":"m","segment":{"tag":"%d"},"features":{"x":%d,"y":"%d","z":null},"prediction":0.125}'
    for count in (1, CHUNK):
        task = Summarise(settings, 0, 1)
        for start in range(2):
            values = [record % (at % 3, at, at) for at in range(start, start + count)]
            task.process(values, [1_000] * count, count)
        stored = {name: blob for name, blob in task.checkpoint().items() if blob is not None}
        Summarise(settings, 0, 1).restore(stored)
        task.end()
        panes = [record for record in task.emit() if isinstance(record, PaneRecord) and record.model == "m"]
        slices = [(record.start, summary) for record in panes for group, summary in record.summaries()]
        projection = Projection(build_reference(slices, model="m", version="", segment="", pane_ms=1_000, learned=True))
        _, summary = slices[0]
        vector = projection.project(summary)
        news_of(projection, summary, vector)
        Scores(projection, np.ones(len(projection.signals))).of(vector)
        unpack_cells(pack_cells(summary.cells))
    half, ones = np.full((1, 2), 0.5), np.ones((1, 2), dtype=np.int64)
    Evidence(half, np.ones(1, dtype=np.int64), dispersion=np.ones(1), allowance=1.0).update(ones)
    for name in USUAL:
        DETECTORS[name](RUN_LENGTH)
