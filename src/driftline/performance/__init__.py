"""Does the model still work? Metrics of predictions with labels, and estimates before labels come.

grid            buckets of scores and numbers, and where in its bucket each one lies
tally           counts and moments by bucket: added, merged, subtracted, exactly
outcomes        predictions, with labels or still without, as tallies
intervals       confidence intervals
by_score        one class by its score: AUROC, average precision, log loss, Brier's score
reliability     whether probabilities hold: calibration error, the parts of Brier's score
classification  right and wrong answers: accuracy, precision, recall, F1, value; all metrics of classifiers
regression      all metrics of regressions
calibration     how probable a class is at a score, learned from labels
estimated       a classifier's metrics from its scores alone (CBPE), and the gap to the realised ones
expected_error  a regression's errors from its predictions alone
selective       labels that come sooner, or only, for some predictions
rates           how often outcomes come, given the score or the prediction
concept         evidence, within a budget, that these rates have changed
kinds           what a model predicts, and which of these parts apply to it
study           windows against their reference: estimated, realised, and which left the band
telling         what a study found, in sentences
reference       outcomes of a time when the model worked, as a profile or a worker keeps them
foreseen        what a reference foresees of windows, in three parts that each have a budget
names           names of metrics, and which way each is better
"""
