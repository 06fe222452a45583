"""Does the model still work? Metrics of predictions with their labels, and estimates before the labels come.

grid            scores and numbers as buckets, and where in its bucket each one is
tally           counts and moments by bucket: added, merged, subtracted, exactly
outcomes        predictions, with labels or still without, as tallies
intervals       confidence intervals
by_score        one class by its score: AUROC, average precision, log loss, Brier's score
reliability     whether probabilities are right: calibration error, Brier's parts
classification  what is right and what is not: accuracy, precision, recall, F1, value; all metrics of classifiers
regression      all metrics of regressions
calibration     how probable a class is at a score, learned from labels
estimated       a classifier's metrics from its scores alone (CBPE), and what came less than that
expected_error  a regression's errors from its predictions alone
selective       labels that come for some predictions sooner, or only
rates           how often outcomes come, given the score or the prediction
concept         evidence within a budget that they come otherwise than they did
kinds           what is predicted, and which of all this goes with it
study           windows against their reference: estimated, realised, and which of them left its band
telling         what a study found, in sentences
"""
