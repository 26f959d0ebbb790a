"""Runs a notebook in two kernels: the learner's cells in one, the test cells in one that never sees them.

Whatever happens in there, each cell ends with outputs: what could not be run to its end gets an error, so
that nbgrader records a mark, and not a point too many.
"""

import base64
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import nbformat
from nbgrader import utils

from coursework.marking.process import Ended, Kernel
from coursework.marking.warm import Zygote
from coursework.marking.wire import NotInTime

GRACE = 3
"""Seconds that a kernel has to answer once it was interrupted."""
LARGEST = 10 << 20
"""Bytes of the files beside the notebook."""
WHOLE = 5
"""How many times the time of one cell a whole notebook may take."""


class Apart:
    """A learner's kernel and an examiner's, for one submission; a context manager that ends both."""

    def __init__(self, zygote: Zygote, timeout: float, salt: str, too_long: dict[str, Any]):
        self._timeout, self._too_long = timeout, nbformat.v4.new_output("error", **too_long)
        self._end = time.monotonic() + WHOLE * timeout
        learners, examiners = socket.socketpair()
        self.learner = Kernel(zygote, "learner", learners)
        self.examiner = Kernel(zygote, "examiner", examiners, COURSE_SALT=salt)

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self.learner.end()
        self.examiner.end()

    def run(self, notebook: nbformat.NotebookNode, handed_in: dict[str, str], given: dict[str, str]) -> None:
        """Fill in the outputs of all code cells; `handed_in` and `given` are `files` of the two."""
        for kernel, beside in ((self.learner, handed_in), (self.examiner, given)):
            kernel.ask({"files": beside}, self._timeout)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
                if cell.source.strip():
                    self._run(cell)

    def _run(self, cell: Any) -> None:
        testing = utils.is_grade(cell) and not utils.is_solution(cell)
        try:
            if not testing:
                cell.outputs, cell.execution_count = self._ask(self.learner, cell.source)
            if testing or utils.is_locked(cell):
                outputs, count = self._ask(self.examiner, cell.source)
                if testing:
                    cell.outputs, cell.execution_count = outputs, count
        except Ended as ended:
            why = f"This cell was not run to its end: {ended}."
            cell.outputs.append(error("NotRun", why))

    def _ask(self, kernel: Kernel, source: str) -> tuple[list[Any], int | None]:
        """Run a cell in `kernel`. One that takes too long is interrupted, and ended if that does not help."""
        if self.learner.ended:
            raise Ended(self.learner.ended)
        left = self._end - time.monotonic()
        late = False
        try:
            reply = kernel.ask({"run": source}, min(self._timeout, left), watch=self.learner)
        except NotInTime:
            late = True
            if left < self._timeout:
                self.learner.end(f"the whole notebook ran for more than {WHOLE * self._timeout:g} s")
            reply = self._hurry(kernel)
        outputs = _checked(reply.get("outputs"))
        if late:
            outputs.append(self._too_long)
        elif "count" not in reply:
            outputs.append(error("Interrupted", "This cell was interrupted."))
        count = reply.get("count")
        return outputs, count if isinstance(count, int) else None

    def _hurry(self, kernel: Kernel) -> dict[str, Any]:
        """The reply of a kernel that is too late: first the learner's code is stopped, then all of it."""
        self.learner.interrupt()
        try:
            return kernel.wait(GRACE)
        except NotInTime:
            self.learner.end("your code ran for too long, and would not be interrupted")
        if kernel is self.learner:
            raise Ended(self.learner.ended)
        try:
            return kernel.wait(GRACE)
        except NotInTime:
            kernel.end("the test itself ran for too long")
            raise Ended(kernel.ended) from None


def files(folder: Path) -> dict[str, str]:
    """What stands in `folder` beside notebooks: ordinary files, none of them a link, by their paths."""
    found, room = {}, LARGEST
    for above, _, inside in os.walk(folder):
        for name in inside:
            path = Path(above, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and path.suffix != ".ipynb" and status.st_size <= room:
                room -= status.st_size
                content = base64.b64encode(path.read_bytes()).decode()
                found[str(path.relative_to(folder))] = content
    return found


def _checked(outputs: Any) -> list[Any]:
    """Outputs as a kernel may send them. One that a learner's code has made up is left out."""
    good: list[Any] = []
    for output in outputs if isinstance(outputs, list) else []:
        try:
            nbformat.validate(output, ref="output", version=4)
            good.append(nbformat.from_dict(output))
        except Exception:  # nbformat raises many kinds; whatever it is, it is not written to a notebook
            good.append(error("NoOutput", "This cell sent something that is no output of a cell."))
    return good


def error(name: str, why: str) -> Any:
    """An output that says why there is no other."""
    return nbformat.v4.new_output("error", ename=name, evalue=why, traceback=[why])
