"""What is found, how soon, and how often wrongly: published tables, simulations and real data, by the code that runs.

`python -m driftline.detection` writes docs/detection.md. Seeds are fixed; every number on the page comes from the run.
"""
