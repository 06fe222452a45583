"""Mutations of what is counted and found: the same alerts from any interleaving, and no evidence that is not there."""

from driftline.evidence import bins, evalues, recovery, seasons, volume
from driftline.evidence.baseline import Baseline
from driftline.evidence.detectors import Replayed
from driftline.evidence.dispersion import Dispersion
from driftline.evidence.evalues import Evidence
from driftline.evidence.recovery import Recovery
from driftline.incidents import alerts, stories
from driftline.incidents.budget import AlarmBudget
from driftline.panes.counting import Counting
from driftline.panes.merging import PaneMerger
from driftline.panes.open import OpenPanes
from driftline.panes.repeats import Repeats
from driftline.sketches import packing
from driftline.tables import times
from driftline.tasks import event_time
from driftline.tasks.causes import Causes
from driftline.tasks.event_time import EventTime
from driftline.tasks.outcomes import costs
from driftline.tasks.subjects import following
from driftline.tasks.subjects.following import Following
from driftline.tasks.subjects.overlaps import told_elsewhere
from driftline.tasks.subjects.reference_learning import Learner
from driftline.tasks.subjects.weighing import Weighing
from driftline.tasks.subjects.windows import OpenWindows
from driftline.tasks.summarise import Summarise
from driftline.tasks.watching.silence import Silences
from driftline.tasks.watching.stream import StreamJudge
from driftline.tasks.watching.volume import VolumeJudge
from tests.mutations.engine import SIMULATION
from tests.mutations.places import Mutation

MERGING = "tests/panes/test_merging.py"
REPEATS = "tests/panes/test_repeats.py"
SUMMARISE = "tests/tasks/test_summarise.py"
JUDGE = "tests/tasks/test_judge.py"
JUDGE_ORACLE = "tests/tasks/test_judge_oracle.py"
BASELINE = "tests/evidence/test_baseline.py"
TOLD_ONCE = "tests/tasks/test_told_once.py"
SEASONS = "tests/evidence/test_seasons.py"
DETECTORS = "tests/evidence/test_detectors.py"
SILENCE = "tests/tasks/test_silence.py"
BROKEN = "tests/pipeline/test_broken_producer.py"
COSTS = "tests/tasks/test_costs.py"

MUTATIONS = (
    # what is read
    Mutation(
        "tables: a time in milliseconds before 2001 is read as one in seconds",
        times,
        '_Number("seconds since 1970", _, _, _, _)',
        '_Number("seconds since 1970", "1773307800", 1e8, 1e12, _scaled(1_000))',
        ("tests/tables/test_times.py::test_a_moment_is_the_same_in_every_form",),
    ),
    # time
    Mutation(
        "a wrong clock moves time beyond the timestamps that the log wrote",
        EventTime.bounded,
        "np.minimum(times, stamps)",
        "times",
        (f"{SUMMARISE}::test_no_share_of_wrong_clocks_makes_right_ones_late_where_the_log_stamps_records", SUMMARISE),
    ),
    Mutation(
        "one event far ahead of all others moves time",
        event_time,
        "votes > AGREEING",
        "votes > 0",
        (f"{SUMMARISE}::test_one_bad_clock_makes_nobody_else_late", SUMMARISE),
    ),
    Mutation(
        "an idle partition does not tell how far the clock has come",
        Summarise.rest,
        "min(self.watermark + max(gone, 0), LATEST)",
        "self.watermark",
        (f"{SUMMARISE}::test_an_idle_partition_tells_how_far_the_clock_has_come_and_no_further",),
    ),
    Mutation(
        "what comes late for a slice is left out of windows that are open",
        OpenWindows.fill,
        "window + size <= mark",
        "True",
        ("tests/runtime/test_worker.py", JUDGE_ORACLE),
    ),
    Mutation(
        "each model that falls silent is told where nothing comes at all",
        Silences.close,
        "idle and (shared := next((each for each in self._open.values() if each.of_all), None))",
        "(shared := None)",
        ("tests/tasks/test_silence.py",),
    ),
    # nothing twice
    Mutation(
        "panes that come again are counted again",
        PaneMerger.take,
        "record.place <= source.sent.get(record.model, source.forgotten)",
        "False",
        (f"{MERGING}::test_records_sent_again_change_nothing", MERGING, SIMULATION),
    ),
    Mutation(
        "a watermark may take its source back in time",
        PaneMerger.take,
        "place <= (source.time, source.position, source.rested)",
        "False",
        (
            f"{MERGING}::test_an_idle_mark_that_comes_again_does_not_pass_over_what_its_source_sent_since",
            MERGING,
            SIMULATION,
        ),
    ),
    Mutation(
        "Judge waits for as many sources as the latest record tells, not for as many as any told",
        PaneMerger.take,
        "max(self.expected.get(topic, 0), record.sources)",
        "record.sources",
        (f"{MERGING}::test_a_source_that_was_added_is_waited_for_though_others_do_not_know_of_it_yet",),
    ),
    # determinism
    Mutation(
        "slices come out when the fastest source has passed them, not the slowest",
        PaneMerger.complete_to,
        "min(busy)",
        "max(busy)",
        (f"{MERGING}::test_any_interleaving_gives_the_same_slices", MERGING),
    ),
    Mutation(
        "rejected records wait for an event that counts, which may never come",
        Summarise.rest,
        "self._stream.begin(now)",
        "None",
        (f"{BROKEN}::test_a_topic_of_which_nothing_ever_counted_is_told_by_the_time_of_the_others",),
    ),
    Mutation(
        "before any event the clock moves event time, so that the first events are late",
        PaneMerger.advance,
        "min(time, limit)",
        "time",
        (f"{BROKEN}::test_a_group_in_which_nothing_ever_counted_is_told_and_loses_no_event_afterwards",),
    ),
    Mutation(
        "rejected records that are heard of after their window are told to nobody",
        StreamJudge.supplement,
        "replace(piece, start=mark, end=mark + 1) if judged else piece",
        "replace(piece, groups={}) if judged else piece",
        (f"{BROKEN}::test_a_burst_after_a_pause_and_then_nothing_is_told_by_the_clock",),
    ),
    Mutation(
        "Judge does not hear that an idle partition brings records again until its pane is over",
        Summarise.process,
        "self._resting_since >= 0",
        "False",
        ("tests/pipeline/test_slow_partition.py",),
    ),
    Mutation(
        "a burst of rejected records, before which nothing counted and after which nothing comes, is told to nobody",
        StreamJudge.close,
        "idle and self.incident is None and start < time",
        "False",
        (f"{BROKEN}::test_one_burst_of_which_nothing_counts_is_told_though_nothing_came_before_nor_comes_after",),
    ),
    Mutation(
        "few rejected records end an incident of many, though all are rejected",
        StreamJudge.close,
        "lost > self._share * records",
        "lost > self._share * records and lost >= MIN_LOST",
        (f"{BROKEN}::test_a_group_in_which_nothing_ever_counted_is_told_and_loses_no_event_afterwards",),
    ),
    Mutation(
        "that nothing comes at all is taken for the silence of a model that was silent before",
        Silences.close,
        "each.of_all",
        "each",
        (f"{SILENCE}::test_that_nothing_comes_at_all_is_told_though_a_model_had_fallen_silent_alone_before",),
    ),
    Mutation(
        "after a silence of all, each model that does not come with the first is told",
        Silences._deadline,
        "max(self._heard[model], self._away.get(model, 0))",
        "self._heard[model]",
        (f"{SILENCE}::test_who_comes_back_a_little_later_than_the_first_is_not_told_by_himself",),
    ),
    Mutation(
        "lateness is decided by the whole batch",
        Summarise._reject_late,
        "batch.before_records(before) - self._settings.max_out_of_orderness",
        "after[-1:] - self._settings.max_out_of_orderness",
        (f"{SUMMARISE}::test_it_counts_what_the_oracle_counts",),
    ),
    Mutation(
        "the watermark is sent before the panes that it promises",
        Summarise.emit,
        "records.append",
        "(lambda mark: records.insert(0, mark))",
        (SIMULATION,),
    ),
    Mutation(
        "panes that wait in Judge are not part of its checkpoint",
        PaneMerger.take,
        "self._writes[blob] = value if isinstance(value, bytes) else record",
        "self._writes[blob] = None",
        (f"{MERGING}::test_no_restart_shows", MERGING, SIMULATION),
    ),
    Mutation(
        "slices that are being learned from are not part of the checkpoint",
        Learner.put,
        "self.changed.add(start)",
        "pass",
        (f"{JUDGE}::test_no_restart_shows", JUDGE, SIMULATION),
    ),
    Mutation(
        "counters are not part of the checkpoint",
        Summarise.restore,
        "self.counters = _",
        "pass",
        (f"{SUMMARISE}::test_no_restart_shows", SUMMARISE, SIMULATION),
    ),
    Mutation(
        "an incident resolves a window earlier",
        recovery,
        "QUIET_WINDOWS: Final = 3",
        "QUIET_WINDOWS: Final = 2",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "repeated ids are counted as long as the sample is not full",
        Repeats.add,
        "ids <= limits",
        "ids < limits",
        (REPEATS,),
    ),
    Mutation(
        "rows of a small group are sorted where another tag still counts them",
        Counting.__init__,
        "in_order and not sorted_in_place",
        "in_order",
        (JUDGE, JUDGE_ORACLE),
    ),
    Mutation(
        "counts above one are left out of a small group's sketch",
        packing._counts,
        "counts[places] += repeats",
        "pass",
        ("tests/sketches/test_packing.py",),
    ),
    Mutation(
        "samples of event ids are not part of the checkpoint",
        OpenPanes.restore,
        "self._repeats.restore(_, _, _)",
        "pass",
        (SUMMARISE,),
    ),
    Mutation(
        "an event's delay is told by the batch's last record",
        Summarise._time,
        "delays_of(_, stamps)",
        "delays_of(np.where(fine, batch.times, stamps), np.full_like(stamps, stamps[-1]))",
        (SUMMARISE,),
    ),
    Mutation(
        "alert ids depend on when they are made",
        alerts.alert_id,
        "str(incident.changed)",
        "str(__import__('time').time_ns())",
        (SIMULATION,),
    ),
    # evidence
    Mutation(
        "evidence does not fade",
        evalues._lessened,
        "logs - 1 / FADING",
        "logs",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "the denominator of an e-value looks at the reference alone, not at the ball",
        Evidence.update,
        "self.radius",
        "np.zeros_like(self.radius)",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "an edge between two bins is one key too high",
        bins._round_edges,
        "_roundest(_, _)",
        "1 + _roundest(int(keys[first]) + width, int(keys[last + 1]))",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "evidence goes on after it opened an incident",
        Weighing.reset,
        "evidence.reset()",
        "pass",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "how much windows vary is looked at for the window's own length alone",
        Dispersion.at,
        "self.hundredths[first : last + 1]",
        "self.hundredths[first : first + 1]",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "an incident resolves without evidence that its change is gone",
        Recovery.gone,
        "self._log_b >= ENOUGH",
        "self._log_b >= 0.0",
        ("tests/evidence/test_recovery.py", JUDGE_ORACLE),
    ),
    Mutation(
        "the signals of an open incident count towards what joins it",
        Following.follow,
        "others[part] = -np.inf",
        "pass",
        (TOLD_ONCE, JUDGE_ORACLE),
    ),
    Mutation(
        "a fault of another sort is told in each window",
        following._with_more_to_tell,
        "recovery.told = recovery.told | found",
        "pass",
        (TOLD_ONCE,),
    ),
    Mutation(
        "what the drift of a signal tells is told by its quality too",
        told_elsewhere,
        "marked[Kind.DATA_QUALITY][_] = True",
        "pass",
        (TOLD_ONCE,),
    ),
    Mutation(
        "a window is among the past ones before it is weighed",
        Evidence.update,
        "floats = self.tempered(counts)",
        "floats = self.tempered(counts)\nself._past.add(floats)",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "a chart takes the reference for the truth",
        Replayed.update,
        "self.compares_with_reference",
        "False",
        (BASELINE,),
    ),
    Mutation(
        "panes of which a change was detected count as usual",
        Replayed.update,
        "self._baseline = Baseline()",
        "pass",
        (BASELINE,),
    ),
    Mutation(
        "a restart forgets what panes added to the reference",
        Replayed.__init__,
        "Baseline(fed.learned)",
        "Baseline()",
        (DETECTORS, JUDGE),
    ),
    Mutation(
        "one wild pane carries away the mean that a chart compares with",
        Baseline.compare,
        "abs(found) <= CLIP",
        "True",
        (BASELINE,),
    ),
    Mutation(
        "a seasonal reference is made of one season",
        seasons,
        "MIN_SEASONS: Final = 2",
        "MIN_SEASONS: Final = 1",
        ("tests/tasks/test_seasons.py::test_two_seasons_are_learned_where_less_is_asked_for", SEASONS),
    ),
    Mutation(
        "the variance that estimating a season takes away is not put back",
        seasons.deseasoned,
        "level * (seasons / (seasons - 1))",
        "level",
        (SEASONS,),
    ),
    Mutation(
        "the numbers of events in windows always count as independent",
        volume._independent,
        "sure[0] <= DEPENDENT * STEPS",
        "True",
        ("tests/evidence/test_volume.py",),
    ),
    Mutation(
        "an alert about the number of events always calls its budget guaranteed",
        VolumeJudge._open_incident,
        "Basis.GUARANTEED if volume.independent else Basis.NOT_GUARANTEED",
        "Basis.GUARANTEED",
        ("tests/offline/test_calibration.py::test_an_alert_about_the_number_of_events_says_so_too",),
    ),
    Mutation(
        "a segment takes as much of the budget as all events",
        AlarmBudget.allowance,
        "part / 2 / (segment_rank * (segment_rank + 1))",
        "part / 2",
        (JUDGE_ORACLE,),
    ),
    # what a drift costs
    Mutation(
        "a drift is said to cost nothing by a window that began before it",
        costs.cost_of,
        "window.start < began",
        "False",
        (f"{COSTS}::test_a_window_that_began_before_the_drift_says_only_what_got_worse",),
    ),
    Mutation(
        "what a drift costs is told again where it is less",
        Causes._news,
        "urgency(cost.severity) < urgency(cause.cost.severity)",
        "True",
        (f"{COSTS}::test_the_cost_is_told_once_it_is_known_and_again_if_it_rises",),
    ),
    Mutation(
        "an update does not say what more of another kind moved",
        stories._is_news,
        "not set(part.signals) <= set(before.signals)",
        "False",
        ("tests/incidents/test_stories.py",),
    ),
)
