"""Marks one question of a quiz and explains the answer.

The answer cell holds a plain value, the question's test cell ends with a call of `question` inside a hidden
region:

    from coursework.quiz import question
    ### BEGIN HIDDEN TESTS
    question(answer_3, kind="single", key="b", because={"a": "No: ...", "b": "Yes: ...", "c": "No: ..."})
    ### END HIDDEN TESTS

nbgrader takes the result, a float from 0 to 1, as the mark. Key and explanations are not in the released
notebook; the learner reads them in the feedback.
"""

import contextlib
import html
import math
import numbers
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

KINDS = ("single", "several", "numeric", "order", "line")

EXAMPLES = {
    "single": 'one letter in quotes, such as "b"',
    "several": 'a list of letters, such as ["a", "c"]',
    "numeric": "a number, such as 0.25",
    "order": 'a list of all the letters in your order, such as ["b", "a", "c"]',
    "line": "the number of a line, such as 4",
}


FORMS = {
    "single": "One letter in quotes",
    "several": "All that are right, as a list of letters",
    "numeric": "A number",
    "order": "A list of all the letters in your order",
    "line": "The number of the line",
}
"""How the text of a question names the form of its answer, before "such as"."""

OPTION = re.compile(r"^\s*(?:[-*]\s+)?\*{0,2}([a-z])[.)]\*{0,2}\s", re.M)
"""How the text of a question letters an option."""

CODE = re.compile("`([^`]+)`")
"""How an explanation marks code."""


class Verdict(NamedTuple):
    """The mark of an answer, from 0 to 1, and the sentences that explain it: (heading, text) pairs."""

    mark: float
    told: list[tuple[str, str]]

    def text(self) -> str:
        """The verdict as plain text."""
        return "\n".join(f"{heading} {said}".strip() for heading, said in self.told)

    def html(self) -> str:
        """The verdict as HTML; all that a learner or author wrote is escaped, and `code` looks like code."""
        rows = "".join(
            f"<div><strong>{html.escape(heading)}</strong> {CODE.sub(_code, html.escape(said))}</div>"
            for heading, said in self.told
        )
        return f"<div>{rows}</div>"

    def data(self) -> dict[str, str]:
        """What a notebook displays, by MIME type."""
        return {"text/html": self.html(), "text/plain": self.text()}


def _code(quoted: re.Match[str]) -> str:
    return f"<code>{quoted[1]}</code>"


class _Malformed(Exception):
    """The answer is not of the kind that the question asks for."""


def question(
    answer: Any, *, kind: str, key: Any, because: Mapping[Any, str], tolerance: float = 0.0
) -> float:
    """Show whether `answer` is right, and why; return the mark from 0 to 1.

    kind       key              because                               marks
    "single"   "b"              each option: its explanation          1 or 0
    "several"  ["a", "c"]       each option: its explanation          all right 1, one slip 0.5, else 0
    "numeric"  63.4             right and common wrong numbers        1 if within `tolerance`, or 0
    "order"    ["b", "a", "c"]  each letter: why it stands there      1 or 0
    "line"     4                each line's number: its explanation   1 or 0
    """
    verdict = mark(answer, kind=kind, key=key, because=because, tolerance=tolerance)
    _show(verdict)
    return verdict.mark


def mark(answer: Any, *, kind: str, key: Any, because: Mapping[Any, str], tolerance: float = 0.0) -> Verdict:
    """The verdict on `answer`, without showing it. Arguments as for `question`."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    keys = list(key) if kind in ("several", "order") else [key]
    if missing := [right for right in keys if right not in because]:
        raise ValueError(f"`because` must explain the key {missing[0]!r}")
    right = _explain("The answer has" if len(keys) > 1 else "The answer is", keys, because)
    if blank(answer):
        return Verdict(0.0, [("Not answered.", ""), *right, *_others(keys, because)])
    try:
        mine = _read(answer, kind, list(because))
    except _Malformed as error:
        told = [("Your answer could not be read:", f"{error}. Write {EXAMPLES[kind]}.")]
        return Verdict(0.0, [*told, *right, *_others(keys, because)])
    got = _marked(mine, kind, key, tolerance)
    heading = {1.0: "Right.", 0.5: "Half right: one slip."}.get(got, "Not right.")
    answered = f"You answered {_written(mine)}"
    key_text = ", ".join(map(str, keys if kind == "order" else sorted(keys)))
    told = [(heading, f"{answered}." if got == 1 else f"{answered}; the answer is {key_text}.")]
    chosen = _chosen(mine, because, tolerance)
    told += _explain("You chose", [option for option in chosen if option not in keys], because)
    return Verdict(got, [*told, *right, *_others([*chosen, *keys], because)])


def form(text: str) -> tuple[str, list[str]] | None:
    """The kind and the letters of the options, as the text of a question names them; None if it does not."""
    said = [(text.rfind(f"{words}, such as"), kind) for kind, words in FORMS.items()]
    last, kind = max(said)
    return (kind, OPTION.findall(text)) if last >= 0 else None


def unreadable(answer: Any, kind: str, options: list[Any]) -> str:
    """Why an answer cannot be marked, in a sentence that does not say what is right; "" if it can, or is
    blank."""
    if blank(answer):
        return ""
    try:
        _read(answer, kind, options)
    except _Malformed as error:
        return f"{error}; write {EXAMPLES[kind]}."
    return ""


def blank(answer: Any) -> bool:
    """Whether the question is not answered."""
    if isinstance(answer, str):
        return not answer.strip()
    return answer is None or (isinstance(answer, list | tuple | set | frozenset) and not answer)


def _written(mine: Any) -> str:
    if isinstance(mine, list):
        return ", ".join(mine)
    return f"{mine:.10g}" if isinstance(mine, float) else str(mine)


def _marked(mine: Any, kind: str, key: Any, tolerance: float) -> float:
    if kind == "numeric":
        return float(math.isclose(mine, key, rel_tol=1e-9, abs_tol=tolerance))
    if kind == "several":
        slips = len(set(mine) ^ set(key))
        return {0: 1.0, 1: 0.5}.get(slips, 0.0)
    return float(mine == (list(key) if kind == "order" else key))


def _read(answer: Any, kind: str, options: list[Any]) -> Any:
    """The answer as it is marked; raises _Malformed if it has another form than the question asks for."""
    read: Callable[[Any, list[Any]], Any] = {
        "single": _letter, "several": _letters, "numeric": _number, "order": _letters, "line": _line,
    }[kind]  # fmt: skip
    mine = read(answer, options)
    if kind == "order" and sorted(mine) != sorted(options):
        raise _Malformed("each letter must stand in the list once")
    return sorted(set(mine)) if kind == "several" else mine


def _letter(answer: Any, options: list[Any]) -> str:
    if not isinstance(answer, str):
        raise _Malformed(f"one letter is asked, and {answer!r:.60} is {_kind(answer)}")
    letter = answer.strip().casefold()
    if letter not in options:
        raise _Malformed(f"{answer!r:.60} is none of the options {', '.join(map(str, options))}")
    return letter


def _letters(answer: Any, options: list[Any]) -> list[str]:
    if not isinstance(answer, list | tuple | set | frozenset):
        raise _Malformed(f"a list of letters is asked, and {answer!r:.60} is {_kind(answer)}")
    return [_letter(item, options) for item in answer]


def _number(answer: Any, options: list[Any]) -> float:
    number = math.nan
    if isinstance(answer, numbers.Real) and not isinstance(answer, bool):
        with contextlib.suppress(OverflowError):
            number = float(answer)
    if not math.isfinite(number):
        raise _Malformed(f"a number is asked, and {answer!r:.60} is {_kind(answer)}")
    return number


def _line(answer: Any, options: list[Any]) -> int:
    if isinstance(answer, bool) or not isinstance(answer, numbers.Integral):
        raise _Malformed(f"the number of a line is asked, and {answer!r:.60} is {_kind(answer)}")
    return int(answer)


def _kind(answer: Any) -> str:
    if isinstance(answer, float) and not math.isfinite(answer):
        return "not a number one can compare"
    names = {"str": "a text in quotes", "list": "a list", "tuple": "a list", "dict": "a dictionary"}
    names |= {"int": "a number", "float": "a number", "bool": "True or False"}
    return names.get(type(answer).__name__, f"a {type(answer).__name__}")


def _chosen(mine: Any, because: Mapping[Any, str], tolerance: float) -> list[Any]:
    """The options that the answer names; for a number, the explained value that it comes near to."""
    if isinstance(mine, float | int):
        near = [value for value in because if math.isclose(mine, value, rel_tol=1e-9, abs_tol=tolerance)]
        return sorted(near, key=lambda value: abs(value - mine))[:1]
    return mine if isinstance(mine, list) else [mine]


def _explain(heading: str, options: list[Any], because: Mapping[Any, str]) -> list[tuple[str, str]]:
    return [(f"{heading} {option}.", because[option]) for option in options]


def _others(told: list[Any], because: Mapping[Any, str]) -> list[tuple[str, str]]:
    return _explain("Not chosen:", [option for option in because if option not in told], because)


def _display(verdict: Verdict) -> None:
    from IPython.display import display

    display(verdict.data(), raw=True)


_show: Callable[[Verdict], None] = _display


@contextlib.contextmanager
def showing(show: Callable[[Verdict], None]) -> Iterator[None]:
    """Give verdicts to `show` instead of the notebook, as the marking without a kernel does."""
    global _show
    before, _show = _show, show
    try:
        yield
    finally:
        _show = before
