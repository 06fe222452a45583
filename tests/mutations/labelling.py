"""Mutations of labels: each counts once, for its prediction, as what it says last, and as long as it is awaited."""

from driftline.labels import meeting
from driftline.labels.book import Book
from driftline.labels.join import Join
from driftline.labels.tallies import _Rows
from driftline.offline import backtest
from driftline.publisher import checks
from driftline.runtime.task import Owned
from driftline.tables import labels
from driftline.tasks.labelling import Labelling
from driftline.tasks.outcomes.label_arrivals import LabelArrivals
from driftline.tasks.summarise import Summarise
from tests.mutations.engine import SIMULATION
from tests.mutations.places import Mutation

JOIN = "tests/labels/test_join.py"
TALLIES = "tests/labels/test_tallies.py"
LABELLING = "tests/tasks/test_labelling.py"
TABLES = "tests/tables/test_labels.py"
BACKTEST = "tests/offline/test_backtest_labels.py"
ARRIVALS = "tests/tasks/test_label_arrivals.py"
CORRECTION = f"{LABELLING}::test_a_correction_takes_the_old_outcome_out_and_the_highest_revision_wins"

MUTATIONS = (
    # which label counts
    Mutation(
        "labels: one that comes in the last millisecond is expired",
        meeting,
        "arrivals[at] > known[row - known_base] + awaits",
        "arrivals[at] >= known[row - known_base] + awaits",
        (f"{LABELLING}::test_a_prediction_is_kept_to_the_last_millisecond_in_which_its_label_counts",),
    ),
    Mutation(
        "labels: the lowest revision wins",
        meeting,
        "mine < revision[i]",
        "revision[i] >= 0 and mine > revision[i]",
        (CORRECTION,),
    ),
    Mutation(
        "labels: a tombstone is ignored",
        Join.labels,
        "batch.models == EVERY_MODEL",
        "np.zeros(len(arrivals), dtype=bool)",
        (f"{LABELLING}::test_a_withdrawal_takes_the_outcome_out",),
    ),
    Mutation(
        "labels: what says the same again counts again",
        meeting,
        "same = forms[at] == form[i]",
        "same = False",
        (CORRECTION,),
    ),
    Mutation(
        "labels: a correction does not take the old outcome out",
        Book._outcomes,
        "np.flatnonzero(stood.forms[changed] != NOTHING)",
        "np.flatnonzero(stood.forms[changed] > 99)",
        (CORRECTION,),
    ),
    Mutation(
        "labels: a revision that says nothing new is not stored",
        Book.label,
        "facts.amend(said.rows[raised | (fates == JOINED)])",
        "facts.amend(said.rows[fates == JOINED])",
        (f"{LABELLING}::test_a_revision_that_says_nothing_new_is_remembered",),
    ),
    # what it says
    Mutation("labels: another weight alone is no correction", meeting, "weights[at] == weight[i]", "True", (JOIN,)),
    Mutation("labels: another kind alone is no correction", meeting, "kinds[at] == kind[i]", "True", (JOIN,)),
    Mutation(
        "labels: all outcomes weigh the same",
        _Rows.__init__,
        "units(outcomes.weights)",
        "units(np.ones(len(groups)))",
        (f"{TALLIES}::test_an_outcome_counts_with_its_weight_and_is_taken_out_with_it",),
    ),
    # whose it is
    Mutation(
        "labels: they are sampled by another hash than predictions",
        Join._meet,
        "book.rule.sampled(batch.ids[mine])",
        "book.rule.sampled((1 << 63) - 1 - batch.ids[mine])",
        (f"{LABELLING}::test_a_sample_chooses_predictions_and_labels_alike",),
    ),
    Mutation(
        "labels: a prediction that repeats an id joins, too",
        meeting,
        "-alike <= apart <= alike",
        "False",
        (JOIN,),
    ),
    Mutation(
        "labels: one that no prediction is known of is dropped",
        Join.settle,
        'self._tell(names.get(code, ""), _, _)',
        "pass",
        (f"{LABELLING}::test_a_label_is_unknown_once_no_prediction_of_it_can_come",),
    ),
    Mutation(
        "labels: predictions of a model that awaits none any more stay in the store",
        Join.restore,
        "self._gone.extend(stored.blobs)",
        "pass",
        (f"{JOIN}::test_state_of_a_model_that_awaits_no_labels_any_more_is_let_go_of",),
    ),
    # when it came
    Mutation(
        "labels: one that comes out of order is late",
        Labelling.labels,
        "np.maximum(places, before - self._tolerance)",
        "places",
        (f"{LABELLING}::test_a_label_is_never_late_but_moved_to_where_its_log_has_come",),
    ),
    Mutation(
        "labels: label_clock is ignored",
        Labelling.labels,
        'self._settings.clock == "arrival"',
        "True",
        (f"{LABELLING}::test_the_user_may_choose_the_other_clock",),
    ),
    Mutation(
        "labels: the log that is ahead is not held back",
        Summarise.ahead,
        'LABELS if ahead > STEP else PREDICTIONS if ahead < -STEP else ""',
        '""',
        (f"{LABELLING}::test_the_log_that_is_ahead_waits_for_the_other", "tests/runtime/test_labels.py"),
    ),
    Mutation(
        "labels: an input that is held back for another that was read to its end waits for ever",
        Owned.to_hold,
        "ahead is None or self.caught_up - {ahead}",
        "ahead is None",
        ("tests/runtime/test_labels.py", SIMULATION),
    ),
    Mutation(
        "labels: an idle topic of labels holds predictions back",
        Labelling.settle,
        "None if LABELS in idle else own",
        "own",
        (f"{LABELLING}::test_a_silent_side_holds_nothing_back",),
    ),
    # whether they come
    Mutation(
        "labels: what is usual is learned of windows before they began, too",
        LabelArrivals._learn,
        "start >= self.began",
        "True",
        (ARRIVALS,),
    ),
    Mutation(
        "labels: a month of 31 days is late after one of 28",
        LabelArrivals._judge,
        "age // SLACK if (age + 1) * size < awaited else 0",
        "0",
        (ARRIVALS,),
    ),
    # from a publisher, and from a table
    Mutation(
        "labels: a publisher takes weights that workers reject",
        checks.label_event,
        '_number("weight", weight, A_WEIGHT, MIN_WEIGHT, MAX_WEIGHT)',
        '_number("weight", weight, A_WEIGHT, 0.0)',
        ("tests/publisher/test_labels.py::test_a_mistake_is_told_by_its_name",),
    ),
    Mutation(
        "labels: NaN in a table withdraws what was said",
        labels._wanted,
        "held.value.is_finite()",
        "held.value.is_not_null()",
        ("tests/tables/test_forms.py::test_a_gap_in_a_column_of_labels_is_no_label_and_withdraws_none",),
    ),
    Mutation(
        "labels: rows of a table that have none need a time",
        labels.read_labels,
        'epoch_milliseconds(table, own.label_time_column, "--label-time-column", known)',
        'epoch_milliseconds(table, own.label_time_column, "--label-time-column")',
        (f"{TABLES}::test_labels_come_in_the_order_in_which_they_were_known_and_only_they_need_a_time",),
    ),
    # in a backtest
    Mutation(
        "labels: a backtest tells what outcomes changed when the next rows are read",
        backtest.backtest,
        "records if labels is None else sent_in_step(records)",
        "records",
        (f"{BACKTEST}::test_the_size_of_batches_does_not_show",),
    ),
    Mutation(
        "labels: a backtest leaves out the window of performance that the table's end cuts off",
        backtest.backtest,
        "judge.finish()",
        "pass",
        ("tests/cli/test_backtest_labels.py::test_outcomes_that_mean_something_else_are_told_when_their_labels_come",),
    ),
)
