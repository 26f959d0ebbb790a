"""What a late submission costs: a share of its points for each day begun. Off by default."""

import math
from typing import Any

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float


class LatePerDay(LateSubmissionPlugin):
    """nbgrader's plugin for late submissions, with a penalty that grows by the day."""

    share: Any = Float(0.0, help="The share of the points that a day begun costs: 0 none, 1 all.").tag(
        config=True
    )

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float | None:
        """The points to take off, or None where lateness costs nothing."""
        if not self.share:
            return None
        days = math.ceil(total_seconds_late / 86_400)
        return round(min(1.0, self.share * days) * score, 2)
