"""Does the model still work? Metrics of predictions with their labels, and estimates before the labels come.

grid            scores and numbers as buckets, and where in its bucket each one is
tally           counts and moments by bucket: added, merged, subtracted, exactly
outcomes        predictions, with labels or still without, as tallies
intervals       confidence intervals
by_score        one class by its score: AUROC, average precision, log loss, Brier and its parts, calibration error
classification  what is right and what is not: accuracy, precision, recall, F1, value; all metrics of classifiers
regression      all metrics of regressions
calibration     how probable a class is at a score, learned from labels
estimated       CBPE: a classifier's metrics from its scores alone
expected_error  a regression's errors from its predictions alone
selective       labels that come for some predictions sooner, or only
concept         evidence that outcomes have changed, given the score
"""
