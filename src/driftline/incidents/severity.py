"""How urgent an incident is. Each kind says it of its own incidents, by their size."""

from typing import Final

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
SEVERITIES: Final = (CRITICAL, WARNING, INFO)
"""Most urgent first."""


def urgency(severity: str) -> int:
    """Return 0 for the most urgent severity, and more for others.

    >>> sorted(["info", "critical", "warning"], key=urgency)
    ['critical', 'warning', 'info']
    """
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
