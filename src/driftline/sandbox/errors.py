"""What can go wrong with a server of the sandbox."""

from driftline.errors import DriftlineError


class SandboxError(DriftlineError):
    """A server cannot be started, or did not answer in time: says why, or shows the end of its log."""
