# This folder is an ordinary nbgrader course directory.
from pathlib import Path

from coursework.configuration import configure

c = get_config()  # noqa: F821  # nbgrader supplies it

# The class's salt: put your own text here, and the hidden inputs of your class are its own.
configure(c, Path(__file__).resolve().parent, salt="interplay")
