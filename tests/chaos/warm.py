"""What the process imports that workers are forked from: all that a worker does once, before it begins."""

import tests.chaos.workers  # noqa: F401
from driftline.tasks.warming import warm_up

warm_up()
