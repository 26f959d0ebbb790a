"""What counts as plain data, and that only that crosses between checks and answers."""

import numpy as np
import pytest

from coursework.plain import NotPlain, over_the_wire, plain


def test_numpy_and_tuples_become_pythons_own():
    assert plain({"a": (np.float64(1.5), np.array([1, 2]))}) == {"a": [1.5, [1, 2]]}
    assert type(plain(np.float64(1.5))) is float


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, lambda: 1, {(1,): 2}, {True: 1}, iter([]), type("S", (str,), {})("x")]
)
def test_other_things_are_refused(value):
    with pytest.raises(NotPlain):
        plain(value)


def test_a_call_over_the_wire_passes_data_only():
    kept = []

    def keep(values, more=None):
        kept.append(values)
        values.append(3)
        return (values, more)

    values = [1, 2]
    assert over_the_wire(keep)(values, more={"a": 1}) == [[1, 2, 3], {"a": 1}]
    assert values == [1, 2], "the caller's list is its own"
    with pytest.raises(NotPlain):
        over_the_wire(lambda: object())()


def test_an_error_crosses_with_type_and_message_only():
    class Own(Exception):
        pass

    def fail(kind):
        raise {"own": Own, "value": ValueError}[kind]("no")

    with pytest.raises(ValueError, match="no") as caught:
        over_the_wire(fail)("value")
    assert "fail" not in {entry.name for entry in caught.traceback}
    with pytest.raises(Exception, match="no") as caught:
        over_the_wire(fail)("own")
    assert type(caught.value).__name__ == "Own"
    assert not isinstance(caught.value, Own)
