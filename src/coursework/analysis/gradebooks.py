"""Fills the marks into a gradebook that Canvas or Moodle exported, so that it can be imported again.

Only cells of marks change: every row and column of the file stays, in its order. The columns are those that
Canvas (lib/gradebook_exporter.rb) and Moodle (grade/export/txt) write.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from coursework.layout import Assignment, NotFound
from coursework.marking.one import Result

KEYS = {
    "Canvas": ("SIS Login ID", "SIS User ID", "Integration ID", "ID"),
    "Moodle": ("Username", "ID number", "Email address"),
}
"""The columns that say who a row is, the best first."""
NO_POINTS = re.compile(r"\((percentage|letter|feedback)\)$", re.I)
"""Columns of Moodle's for an assignment that are not its points."""
KEPT = {"EX": "is excused there", "N/A": "does not have this assignment there"}
"""What Canvas writes where no mark belongs."""


@dataclass
class Filled:
    """The new bytes of the file, how many marks were written, and what the instructor must know."""

    kind: str
    content: bytes = b""
    written: int = 0
    notes: list[str] = field(default_factory=list)


def fill(path: Path, results: list[Result], known: dict[str, set[str]] | None = None) -> Filled:
    """The file at `path` with the marks of `results`; it is not changed itself.

    `known` gives a student's other names: e-mail address, number. Raises NotFound for a file that is neither
    of the two, or has no column for any of the assignments.
    """
    raw = path.read_bytes()
    text, encoding = _decoded(raw)
    mark = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark)) or [[]]
    filled = Filled(_kind(path, rows[0]))
    columns = _columns(path, rows, results, filled)
    whose = _whose(rows, results, known or {}, filled)
    comma = any(re.fullmatch(r"\d+,\d+", cell) for row in rows for cell in row)
    for result in results:
        if result.mark is not None and result.what in columns and result.student in whose:
            column, most = columns[result.what]
            row = rows[whose[result.student]]
            row += [""] * (column + 1 - len(row))
            if row[column].strip() in KEPT:
                filled.notes.append(
                    f"{result.student}, {result.what.name}: {KEPT[row[column].strip()]}; left so"
                )
                continue
            points = sum(most for _, most in (result.marks or {}).values())
            share = most / points if most and points else 1.0
            shown = f"{max(0.0, result.mark) * share:.2f}"
            row[column] = shown.replace(".", ",") if comma else shown
            filled.written += 1
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(rows)
    filled.content = out.getvalue().encode(encoding)
    return filled


def _decoded(raw: bytes) -> tuple[str, str]:
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "utf-8"):
        try:
            if encoding != "utf-8-sig" or raw.startswith(b"\xef\xbb\xbf"):
                return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            break
    return raw.decode("latin-1"), "latin-1"


def _kind(path: Path, header: list[str]) -> str:
    if "Section" in header and {*header} & {*KEYS["Canvas"]}:
        return "Canvas"
    if {*header} & {*KEYS["Moodle"]}:
        return "Moodle"
    wanted = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in KEYS.items())
    raise NotFound(
        f"{path.name} is no gradebook that Canvas or Moodle exported in English. Its first line should name "
        f"one of these columns ({wanted}), and has: {', '.join(header)[:200] or 'nothing'}."
    )


def _columns(
    path: Path, rows: list[list[str]], results: list[Result], filled: Filled
) -> dict[Assignment, tuple[int, float | None]]:
    """The column of each assignment, and the points that it has there, where the file says so."""
    found: dict[Assignment, tuple[int, float | None]] = {}
    whats = dict.fromkeys(result.what for result in results)
    for what in whats:
        name = re.compile(rf"\b{what.kind}\W*0*{int(what.slug[:2])}\b", re.I)
        there = [n for n, t in enumerate(rows[0]) if name.search(t) and not NO_POINTS.search(t.strip())]
        if len(there) > 1:
            titles = "”, “".join(rows[0][n] for n in there)
            filled.notes.append(
                f"{what.name}: more than one column could be meant (“{titles}”): none was filled"
            )
        elif there:
            found[what] = there[0], _possible(rows, there[0])
            points = next(
                (sum(m for _, m in r.marks.values()) for r in results if r.what == what and r.marks), 0
            )
            most = found[what][1]
            if most and points and most != points:
                filled.notes.append(
                    f"{what.name}: {points:g} points are {most:g} in this file; marks were scaled"
                )
        else:
            filled.notes.append(f"{what.name}: has no column in the file")
    if whats and not found:
        first = next(iter(whats))
        raise NotFound(
            f"{path.name} has no column for {', '.join(what.name for what in whats)}. Make an assignment in "
            f"{filled.kind} whose name has “{first.kind.capitalize()} {first.slug[:2]}” "
            "in it, export the gradebook again, and give me that file."
        )
    return found


def _possible(rows: list[list[str]], column: int) -> float | None:
    for row in rows[1:4]:
        if row and row[0].strip() == "Points Possible" and column < len(row):
            number = row[column].strip().replace(",", ".")
            return float(number) if re.fullmatch(r"\d+(\.\d+)?", number) else None
    return None


def _whose(
    rows: list[list[str]], results: list[Result], known: dict[str, set[str]], filled: Filled
) -> dict[str, int]:
    """The row of each student, where it is beyond doubt; the others are told."""
    places = [rows[0].index(key) for key in KEYS[filled.kind] if key in rows[0]]
    found: dict[str, int] = {}
    for student in dict.fromkeys(result.student for result in results if result.mark is not None):
        mine = {name.strip().casefold() for name in (student, *known.get(student, ()))} - {""}
        looks = [(place, short) for short in (False, True) for place in places]
        there = next(filter(None, (_rows(rows, place, mine, short) for place, short in looks)), [])
        if len(there) == 1:
            found[student] = there[0]
        elif there:
            filled.notes.append(f"{student}: {len(there)} rows could be meant, so none was filled")
        else:
            filled.notes.append(f"{student}: nobody in the file has this login, number or e-mail address")
    twice = {row for row, n in Counter(found.values()).items() if n > 1}
    for student in [student for student, row in found.items() if row in twice]:
        filled.notes.append(f"{student}: another student has the same row, so it was not filled")
        del found[student]
    return found


def _rows(rows: list[list[str]], place: int, mine: set[str], short: bool) -> list[int]:
    """The rows that have one of these names in a column; `short`: an address's part before the @ will do."""
    there = []
    for number, row in enumerate(rows[1:], 1):
        name = row[place].strip().casefold() if place < len(row) else ""
        if (name.partition("@")[0] if short and "@" in name else name) in mine:
            there.append(number)
    return there
