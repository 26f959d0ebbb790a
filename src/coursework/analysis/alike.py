"""Pairs of submissions whose own code is strikingly alike. It proves nothing: it says where to look.

Code is compared as tokens, without comments, layout and names, in runs of `RUN` tokens, as MOSS does
(Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003). A run that the released notebook has does not count,
nor does one that more than a few of the class have: a short task has few right answers.
"""

import io
import itertools
import json
import keyword
import math
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coursework.layout import Assignment, Course

RUN = 12
"""Tokens in a run."""
ALIKE, ENOUGH = 0.6, 10
"""A pair is listed from this likeness on, if it shares so many seldom runs."""

PROVES_NOTHING = (
    "This list proves nothing. Short tasks have few right answers, learners may work together where you "
    "allow it, and a common source makes strangers alike. It only says which pairs to read side by side, "
    "before you talk with anybody."
)

SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(frozen=True)
class Pair:
    """Two submissions: how alike what is their own is (0 to 1), in which cells, and words only they have."""

    one: str
    other: str
    likeness: float
    cells: list[str]
    names: list[str]


def pairs(course: Course, what: Assignment, students: list[str]) -> list[Pair]:
    """The pairs that are alike, the most alike first."""
    released = course.released(what)
    given = [source for _, source in _code(released, answers=False)]
    known = set().union(*map(runs, given)) if given else set()
    common = set().union(*map(_names, given)) if given else set()
    own: dict[str, dict[str, set[int]]] = {}
    words: dict[str, set[str]] = {}
    for student in students:
        cells = list(_code(course.solutions / "submitted" / student / what.name / what.notebook))
        own[student] = {grade_id: runs(source) - known for grade_id, source in cells}
        words[student] = set().union(*(_names(source) for _, source in cells)) - common if cells else set()
    holders: dict[int, list[str]] = {}
    for student in sorted(own):
        for run in set().union(*own[student].values()):
            holders.setdefault(run, []).append(student)
    seldom = {run: who for run, who in holders.items() if len(who) <= 3 + len(students) // 20}
    weight = {run: math.log((len(students) + 1) / len(who)) for run, who in seldom.items()}
    sums: dict[str, float] = dict.fromkeys(own, 0.0)
    shared: dict[tuple[str, str], list[int]] = {}
    for run, who in seldom.items():
        for student in who:
            sums[student] += weight[run]
        for pair in itertools.combinations(who, 2):
            shared.setdefault(pair, []).append(run)
    uses = Counter(word for found in words.values() for word in found)
    listed = []
    for (one, other), both in shared.items():
        common_weight = sum(weight[run] for run in both)
        likeness = common_weight / (sums[one] + sums[other] - common_weight)
        if len(both) >= ENOUGH and likeness >= ALIKE:
            here = set(both)
            where = [name for name, mine in own[one].items() if mine & here]
            names = sorted(word for word in words[one] & words[other] if uses[word] == 2)
            listed.append(Pair(one, other, min(1.0, likeness), where, names))
    return sorted(listed, key=lambda pair: (-pair.likeness, pair.one, pair.other))


def runs(source: str) -> set[int]:
    """The runs of tokens in Python code, as hashes; names, texts and layout make no difference."""
    tokens = [_plain(token) for token in _tokens(source)]
    return {hash(tuple(tokens[i : i + RUN])) for i in range(len(tokens) - RUN + 1)}


def _plain(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
        return "a name"
    return (
        "a text" if token.type == tokenize.STRING else token.string.strip() or tokenize.tok_name[token.type]
    )


def _names(source: str) -> set[str]:
    """The names in Python code, and its comments."""
    kinds = (tokenize.NAME, tokenize.COMMENT)
    return {token.string for token in _tokens(source, comments=True) if token.type in kinds}


def _tokens(source: str, comments: bool = False) -> Iterator[tokenize.TokenInfo]:
    """The tokens, as far as it can be read; a text that stands alone is a comment, too."""
    alone = True
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            comment = token.type == tokenize.COMMENT or (alone and token.type == tokenize.STRING)
            if comments if comment else token.type not in SKIPPED:
                yield token
            alone = token.type in (*SKIPPED, tokenize.INDENT, tokenize.DEDENT)
    except (tokenize.TokenError, SyntaxError):
        return


def _code(path: Path, answers: bool = True) -> Iterator[tuple[str, str]]:
    """(grade id, text) of a notebook's answer cells, or of all its code."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for cell in cells:
        info = cell.get("metadata", {}).get("nbgrader", {})
        if cell.get("cell_type") == "code" and (info.get("solution") or not answers):
            yield str(info.get("grade_id", "")), "".join(cell["source"])
