"""Which names the examiner's kernel takes from the learner's, cell by cell."""

from coursework.marking import examiner


class Learner:
    """Stands for the learner's kernel: it has a function of each name that it is asked for."""

    source = None

    def receive(self):
        return {"names": {name: {"call": True} for name in self.asked}}


def examining(monkeypatch):
    learner = Learner()
    monkeypatch.setattr(examiner, "send", lambda _, request: setattr(learner, "asked", request["names"]))
    return examiner.Examiner({}, learner)


def test_what_a_given_cell_defines_is_the_examiners_own_in_all_later_cells(monkeypatch):
    """A given cell runs in both kernels, the learner's first: its names are there to be borrowed."""
    it = examining(monkeypatch)
    it.borrow("from interplay import Simulation\ndef shop():\n    return Simulation()\nshop")
    own = object()
    it.namespace["shop"] = it.namespace["Simulation"] = own  # as the cell does when it runs
    it.borrow("shop")  # a test cell that uses one of them, and the other through it
    assert it.namespace["shop"] is it.namespace["Simulation"] is own


def test_what_was_borrowed_is_borrowed_anew_for_each_cell(monkeypatch):
    it = examining(monkeypatch)
    it.borrow("double")
    first = it.namespace["double"]
    it.borrow("double")
    assert it.namespace["double"] is not first
    it.borrow("triple")
    assert sorted(it.namespace) == ["triple"]
