"""The live widget of the course: steer a simulation, watch it message by message, find what matters.

A notebook's author writes a model (a function that takes the controls' values and returns a Simulation that
is ready to run), and no JavaScript:

    Player(storm, until=60, controls=[Slider("load", "Load", 5, 60, value=20, unit="req/s")])

==================  =================================================================================
widget.py           Player: runs the model when the page asks, and sends the trace
controls.py         Slider and Choice
measures.py         rates, percentiles and queues over time, from the packed trace
moments.py          the moments worth a look, found in the trace
errors.py           an exception in a learner's own words
alternative.py      the picture and the tables for readers without JavaScript
predict.py          Predict: a question to answer before the run does
page/               what runs in the browser: plain JavaScript and CSS, joined by page.py
==================  =================================================================================
"""

from .controls import Choice, Slider
from .moments import Moment, find_moments
from .predict import Predict
from .widget import Player

__all__ = ["Choice", "Moment", "Player", "Predict", "Slider", "find_moments"]
