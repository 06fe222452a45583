"""Sources interleave as they like: the slices that come out are the same, each once, in order."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.codec import pack
from driftline.columns.shape import Limits
from driftline.panes.merging import PaneMerger, Slice
from driftline.panes.records import PaneRecord, Watermark, decode_record
from driftline.panes.sources import FIRST_TOPIC, source_number, topic_number
from driftline.sketches.packing import pack_cells
from driftline.tasks.summarise import Summarise
from tests.panes.test_records import pane
from tests.tasks.streams import START, Run, Value, event, summarise_settings

Seen = tuple[int, bytes]


def nothing() -> int | None:
    return None


def contents(time: int, piece: Slice) -> Seen:
    value = [
        piece.model,
        piece.start,
        piece.end,
        [[group, s.signals, s.categories] for group, s in piece.groups.items()],
    ]
    arrays = {
        f"{at}/{name}": array
        for at, summary in enumerate(piece.groups.values())
        for name, array in pack_cells(summary.cells).items()
    }
    return time, pack("slice", 1, value, arrays)


def read(
    merger: PaneMerger, values: Sequence[bytes | PaneRecord | Watermark], deadline: Callable[[], int | None] = nothing
) -> list[Seen]:
    found: list[Seen] = []
    for value in values:
        if merger.take(value):
            for time, slices in merger.advance(deadline):
                found += [contents(time, piece) for piece in slices]
    return found


def split_stream(sources: int, seed: int, size: int = 300) -> list[list[bytes]]:
    """Return what each source sends of one stream, of which each got some."""
    chance = random.Random(seed)
    runs = [Run(Summarise(summarise_settings(limits=Limits()), source, sources)) for source in range(sources)]
    held: list[list[tuple[Value, int]]] = [[] for _ in range(sources)]
    for number in range(size):
        now = START + number * 300
        value = event(
            number,
            model=chance.choice("mn"),
            time=now - chance.randrange(4_000),
            features={"x": chance.gauss(0, 1), "c": chance.choice(["u", "v", None])},
            model_version=chance.choice("12"),
        )
        held[chance.randrange(sources)].append((value, now))
    for run, pairs in zip(runs, held, strict=True):
        for start in range(0, len(pairs), 17):
            run.feed([value for value, _ in pairs[start : start + 17]], [now for _, now in pairs[start : start + 17]])
        run.finish()
    return [run.sent for run in runs]


def interleave(streams: Sequence[Sequence[bytes]], chance: random.Random) -> list[bytes]:
    left = [list(stream) for stream in streams]
    found: list[bytes] = []
    while any(left):
        stream = chance.choice([stream for stream in left if stream])
        some = chance.randint(1, 6)
        found += stream[:some]
        del stream[:some]
    return found


STREAMS = {sources: split_stream(sources, seed=sources) for sources in (1, 2, 4)}
EXPECTED = {sources: sorted(read(PaneMerger(), interleave(STREAMS[sources], random.Random(0)))) for sources in STREAMS}


@settings(max_examples=30)
@given(st.sampled_from([2, 4]), st.randoms(use_true_random=False))
def test_any_interleaving_gives_the_same_slices(sources: int, chance: random.Random) -> None:
    got = read(PaneMerger(), interleave(STREAMS[sources], chance))
    assert [time for time, _ in got] == sorted(time for time, _ in got)
    assert sorted(got) == EXPECTED[sources]


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 4]), st.randoms(use_true_random=False), st.lists(st.integers(0, 9999), max_size=4))
def test_records_sent_again_change_nothing(sources: int, chance: random.Random, places: list[int]) -> None:
    streams = []
    panes = again_in_all = 0
    for sent in STREAMS[sources]:
        stream = list(sent)
        for place in places:
            at = place % len(stream)
            again = stream[max(0, at - 9) : at]  # the end of the outbox, published twice
            panes += sum(isinstance(decode_record(record), PaneRecord) for record in again)
            again_in_all += len(again)
            stream[at:at] = again
        streams.append(stream)
    merger = PaneMerger()
    got = read(merger, interleave(streams, chance))
    assert sorted(got) == EXPECTED[sources]
    assert panes <= merger.counters.repeated <= again_in_all  # watermarks that are not older may pass


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 4]), st.randoms(use_true_random=False), st.integers(0, 9999))
def test_what_never_was_encoded_is_merged_and_stored_like_what_was(
    sources: int, chance: random.Random, place: int
) -> None:
    values = interleave(STREAMS[sources], chance)
    cut = place % len(values)
    encoded, handed = PaneMerger(), PaneMerger()
    assert read(handed, list(map(decode_record, values[:cut]))) == read(encoded, values[:cut])
    assert handed.checkpoint() == encoded.checkpoint()
    assert read(handed, list(map(decode_record, values[cut:]))) == read(encoded, values[cut:])


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 4]), st.randoms(use_true_random=False), st.lists(st.integers(0, 9999), min_size=1))
def test_no_restart_shows(sources: int, chance: random.Random, places: list[int]) -> None:
    values = interleave(STREAMS[sources], chance)
    expected = read(PaneMerger(), values)
    cuts = sorted({0, len(values), *(place % len(values) for place in places)})
    blobs: dict[str, bytes] = {}
    described: object = None
    got: list[Seen] = []
    for start, stop in pairwise(cuts):
        merger = PaneMerger()
        if described is not None:
            merger.restore(described, blobs)
        got += read(merger, values[start:stop])
        described, writes = merger.checkpoint()
        for name, blob in writes.items():
            if blob is None:
                del blobs[name]
            else:
                blobs[name] = blob
    assert got == expected
    assert blobs == {}, "a slice that came out leaves nothing behind"


def marks(values: Sequence[tuple[int, int, bool]]) -> list[bytes]:
    return [Watermark(source, 2, time, idle, time).encode() for source, time, idle in values]


def times(found: Sequence[Seen]) -> list[int]:
    return [time for time, _ in found]


def test_nothing_comes_out_before_every_source_has_spoken() -> None:
    merger = PaneMerger()
    early = [Watermark(0, 4, 10**12, False, 1).encode(), pane(1).encode()]
    assert read(merger, early) == []
    assert merger.complete_to() < 0


def test_a_source_that_was_added_is_waited_for_though_others_do_not_know_of_it_yet() -> None:
    merger = PaneMerger()
    knows = [replace(pane(0), sources=3).encode(), Watermark(0, 3, 120_000, False, 1).encode()]
    assert read(merger, [*knows, Watermark(1, 2, 120_000, False, 1).encode()]) == []
    assert times(read(merger, [Watermark(2, 3, 120_000, False, 1).encode()])) == [120_000]


def test_every_topic_is_waited_for_and_one_that_is_no_longer_read_is_not() -> None:
    other = source_number(topic_number("more"), 0)
    one = [pane(0).encode(), *(Watermark(source, 4, 180_000, False, 1).encode() for source in range(4))]
    more = [replace(pane(0), source=other, sources=1).encode(), Watermark(other, 1, 60_000, False, 1).encode()]
    both = PaneMerger((FIRST_TOPIC, topic_number("more")))
    assert read(both, one) == [], "the other topic has not spoken yet"
    assert read(both, more) == []
    assert both.complete_to() == 60_000
    described, blobs = both.checkpoint()
    alone, again = PaneMerger(), PaneMerger(both.topics)
    for merger in (alone, again):
        merger.restore(described, {name: blob for name, blob in blobs.items() if blob is not None})
    assert (alone.complete_to(), again.complete_to()) == (180_000, 60_000)
    assert times(read(again, [Watermark(other, 1, 180_000, False, 2).encode()])) == [120_000]


def test_an_idle_source_holds_nothing_back_until_it_speaks_again() -> None:
    merger = PaneMerger()
    one = [pane(0, start).encode() for start in (0, 60_000, 120_000)]
    begin = [Watermark(source, 4, 60_000, source > 0, 1).encode() for source in range(4)]
    assert times(read(merger, [one[0], *begin])) == [60_000]
    assert times(read(merger, [one[1], Watermark(0, 4, 120_000, False, 2).encode()])) == [120_000]
    assert read(merger, [pane(1, 120_000).encode(), one[2], Watermark(0, 4, 180_000, False, 3).encode()]) == []
    ((time, _),) = read(merger, [Watermark(1, 4, 180_000, False, 2).encode()])
    assert time == 180_000


def test_an_idle_mark_that_comes_again_does_not_pass_over_what_its_source_sent_since() -> None:
    merger = PaneMerger()
    idle = [Watermark(source, 4, 60_000, True, 1).encode() for source in range(4)]
    assert times(read(merger, [pane(0, 0).encode(), *idle])) == [60_000]
    again = [pane(0, 60_000).encode(), idle[0], Watermark(1, 4, 120_000, False, 2).encode()]
    assert read(merger, again) == [], "source 0 speaks, and has not said that this is all"
    assert times(read(merger, [Watermark(0, 4, 120_000, False, 2).encode()])) == [120_000]


def test_a_pane_that_comes_after_its_slice_went_out_is_a_supplement() -> None:
    merger = PaneMerger()
    begin = [Watermark(source, 4, 180_000 if source else 0, source == 0, 1).encode() for source in range(4)]
    read(merger, [pane(1).encode(), *begin])
    assert merger.mark == 180_000
    assert read(merger, [pane(0).encode(), Watermark(0, 4, 180_000, False, 2).encode()]) == []
    (piece,) = merger.overdue()
    assert (piece.start, piece.end, merger.counters.supplements) == (60_000, 120_000, 1)
    assert merger.overdue() == []


def test_the_callers_deadlines_come_in_between() -> None:
    merger = PaneMerger()
    left = [90_000, 150_000, 10**9]

    def deadline() -> int:
        return left[0]

    found = []
    for value in [pane(0).encode(), *(Watermark(source, 4, 200_000, False, 1).encode() for source in range(4))]:
        if merger.take(value):
            for time, slices in merger.advance(deadline):
                found.append((time, len(slices)))
                if time == left[0]:
                    left.pop(0)
    assert found == [(90_000, 0), (120_000, 1), (150_000, 0)]
    assert merger.mark == 200_000
