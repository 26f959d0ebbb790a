"""Predict: a question that is answered before a run answers it. It never blocks, and is never marked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any, cast

import anywidget
import traitlets

from ..arguments import one_of, refuse
from .page import PREDICT, script, style


def _without_verdict(why: str) -> str:
    """The widget says itself whether an option is right; an explanation need not begin with it again."""
    rest = re.sub(r"^(right|wrong|not so)\b[.:,!]?\s*", "", why, flags=re.IGNORECASE)
    return rest[:1].upper() + rest[1:]


class Predict(anywidget.AnyWidget):
    """A question with `options` {letter: (text, why it is right or wrong)} and the letter of the `answer`.

    Once the learner has chosen, every option says why it is right or wrong. `choice` is the chosen letter; it
    stays "" in an unattended run. Words between backticks are shown as code.
    """

    _esm = script(PREDICT)
    _css = style("tokens.css", "predict.css")
    question = traitlets.Unicode().tag(sync=True)
    options: traitlets.List = traitlets.List().tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)
    choice = traitlets.Unicode("").tag(sync=True)

    def __init__(self, question: str, options: Mapping[str, tuple[str, str]], answer: str) -> None:
        one_of("answer", answer, tuple(options))
        for letter, words in options.items():
            if not (isinstance(words, (tuple, list)) and len(words) == 2):
                refuse(f"option {letter!r}", words, "a pair: the option's text, and why it is right or wrong")
        rows = [[letter, text, _without_verdict(why)] for letter, (text, why) in options.items()]
        super().__init__(question=question, options=rows, answer=answer)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = cast(Any, super()._repr_mimebundle_(**kwargs))
        plain = [f"Predict: {self.question}", *(f"  ({a}) {text}" for a, text, _ in self.options)]
        items = "".join(f"<li>({escape(a)}) {escape(text)}</li>" for a, text, _ in self.options)
        whys = "".join(
            f"<li>({escape(a)}) {'Right' if a == self.answer else 'Wrong'}: {escape(why)}</li>"
            for a, _, why in self.options
        )
        html = (
            f"<p><strong>Predict:</strong> {escape(self.question)}</p><ul>{items}</ul>"
            f"<details><summary>The answer, and why</summary><ul>{whys}</ul></details>"
        )
        return {**data, "text/plain": "\n".join(plain), "text/html": html}, metadata
