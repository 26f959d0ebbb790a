"""nbgrader's step that runs a submission, as this course's configuration has it.

A quiz is read and not executed. A lab runs in a sandbox, its test cells apart from the learner's. Only where
the configuration says "none" does nbgrader's own step run it, in an ordinary kernel without any protection.
"""

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbgrader.preprocessors import Execute
from nbgrader.preprocessors.execute import UnresponsiveKernelError
from traitlets import Unicode

from coursework.marking.apart import Apart, error, files
from coursework.marking.quizzes import mark_quiz
from coursework.marking.sandbox import NONE, require
from coursework.marking.warm import zygote


class ExecuteSafely(Execute):
    """nbgrader's Execute, in whose place quizzes are read, and labs run in a sandbox."""

    sandbox = Unicode("bubblewrap", help="bubblewrap, landlock or none").tag(config=True)
    scheduler = Unicode("", help="address of a Dask scheduler whose workers run labs").tag(config=True)

    def preprocess(self, nb: Any, resources: Any, km: Any = None) -> tuple[Any, Any]:
        """Fill in the outputs of one notebook."""
        names = resources["nbgrader"]
        if names["assignment"].startswith("quiz-"):
            mark_quiz(nb)
            return nb, resources
        coursedir = self.parent.parent.coursedir  # the exporter's converter
        given = files(Path(coursedir.format_path(coursedir.source_directory, ".", names["assignment"])))
        handed_in = files(Path(resources["metadata"]["path"]))
        salt, too_long = os.environ.get("COURSE_SALT", ""), dict(self.error_on_timeout)
        if self.scheduler:
            from coursework.marking import cluster

            how = self.sandbox, str(coursedir.root), self.timeout, salt, too_long, cluster.fingerprint()
            task = cluster.Task(nbformat.writes(nb), handed_in, given, *how)
            nb.cells = nbformat.reads(cluster.run_there(self.scheduler, task), as_version=4).cells
            return nb, resources
        require(self.sandbox)
        if self.sandbox == "none":
            self.log.warning(NONE)
            self._dead = ""
            return super().preprocess(nb, resources, km)
        with Apart(zygote(self.sandbox, Path(coursedir.root)), self.timeout, salt, too_long) as kernels:
            kernels.run(nb, handed_in, given)
        return nb, resources

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Without a sandbox: run one cell; where the kernel has died, it and all later ones get an error."""
        if cell.cell_type == "code" and self._dead:
            cell.outputs = [error("NotRun", self._dead)]
            return cell, resources
        try:
            return super().preprocess_cell(cell, resources, index)
        except (DeadKernelError, UnresponsiveKernelError, CellControlSignal, RuntimeError) as problem:
            self._dead = f"This cell was not run to its end: {str(problem) or type(problem).__name__}."
            cell.outputs = [error("NotRun", self._dead)]
            return cell, resources
