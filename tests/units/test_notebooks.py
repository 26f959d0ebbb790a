"""What every unit's notebook must be. Units are found by looking into notebooks/, not by a list.

Each notebook is executed once per test run, in one kernel, which is then asked for more: the claims of the
prose, the same theory check with a service that is 5 % slower, the real servers killed, and the first package
that they need taken away.
A notebook says by cell tags what is what:

real             all of part four: where its packages are missing it says one sentence, and nothing else
starts-servers   starts its real servers
needs-servers    fails when those have been killed
service-time     defines `service_time`
theory-check     asserts what the simulation must reproduce; the first one after service-time depends on it
"""

import ast
import contextlib
import functools
import html
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from coursework.normalise import normalise

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
REAL = "Do it on the real thing"
PARTS = ["See it break", "Understand it", "Check it against the world", REAL, "Test your knowledge"]
WITHOUT_SERVERS = ("00", "15")
LINES, SETUP_LINES, PLAYERS, PREDICTIONS = 8, 3, 2, 3
LOOPBACK = {"127.0.0.1", "::1"}  # Erlang's epmd, which RabbitMQ needs, listens on that of IPv6 by itself

each_unit = pytest.mark.parametrize("path", UNITS, ids=lambda p: p.stem)
each_with_servers = pytest.mark.parametrize(
    "path", [p for p in UNITS if p.stem[:2] not in WITHOUT_SERVERS], ids=lambda p: p.stem
)


def test_there_are_units():
    assert UNITS


# ---------------------------------------------------------------------------------------------- reading it


def read(path):
    return nbformat.read(path, as_version=4)


def cells(notebook, kind, tag=None):
    tagged = (c for c in notebook.cells if tag is None or tag in c.metadata.get("tags", []))
    return [cell for cell in tagged if cell.cell_type == kind]


def is_hidden(cell):
    return cell.metadata.get("jupyter", {}).get("source_hidden", False)


def lines(source):
    return [line for line in source.splitlines() if line.strip()]


def plain(source):
    """A markdown cell's own words: the same length, with code, links' targets and HTML blanked out."""
    for pattern in (r"```.*?```", r"`[^`]*`", r"(?<=\])\([^)]*\)", r"<[^>]*>", r"https?://\S+", r"\$[^$]*\$"):
        source = re.sub(pattern, lambda m: " " * len(m[0]), source, flags=re.S)
    return source


def calls(notebook, name):
    """The calls of `name` in the code cells, as syntax trees."""
    trees = [ast.walk(ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", c.source))) for c in cells(notebook, "code")]
    found = [node for tree in trees for node in tree if isinstance(node, ast.Call)]
    return [call for call in found if getattr(call.func, "id", getattr(call.func, "attr", "")) == name]


@each_unit
def test_it_is_in_the_committed_form(path):
    text = path.read_text(encoding="utf-8")
    assert normalise(text) == text, f"run: python -m coursework.normalise {path.relative_to(ROOT)}"


@each_unit
def test_it_has_the_five_parts(path):
    text = "\n".join(plain(c.source) for c in cells(read(path), "markdown"))
    expected = [part for part in PARTS if part != REAL or path.stem[:2] not in WITHOUT_SERVERS]
    assert re.findall(r"^## (.+)$", text, flags=re.M) == expected
    for piece in ("common mistakes", "what you can do now", "what to read next"):
        assert re.search(rf"^###? {piece}$", text, flags=re.M | re.I), f"no heading {piece!r}"


@each_unit
def test_code_cells_are_short(path):
    for cell in cells(read(path), "code"):
        if not is_hidden(cell):
            assert len(lines(cell.source)) <= LINES, f"cell {cell.id} is too long:\n{cell.source}"


@each_unit
def test_the_set_up_is_short(path):
    assert len(lines(cells(read(path), "code")[0].source)) <= SETUP_LINES


@each_unit
def test_links_lead_somewhere(path):
    for cell in cells(read(path), "markdown"):
        targets = re.findall(r"\]\(([^)\s]+)", re.sub(r"`[^`]*`", "", cell.source))
        targets += re.findall(r"(?:href|src)=\"([^\"]+)\"", cell.source)
        for target in targets:
            if re.match(r"(https?:|mailto:|#|attachment:|data:)", target):
                continue
            there = (path.parent / target.partition("#")[0]).resolve()
            own_copy = re.fullmatch(r"work/([^/]+)/(lab|quiz)\.ipynb", str(there.relative_to(ROOT)))
            if own_copy:  # work/ is made by `course open` from what is released
                slug, kind = own_copy.groups()
                there = ROOT / "solutions" / "source" / f"{kind}-{slug}" / f"{kind}.ipynb"
            assert there.exists(), f"cell {cell.id} links to {target}, which is not there"


@each_unit
def test_it_links_its_lab_quiz_pattern_and_glossary(path):
    text = "\n".join(c.source for c in cells(read(path), "markdown"))
    wanted = [
        rf"/{path.stem}/lab\.ipynb",
        rf"/{path.stem}/quiz\.ipynb",
        r"src/interplay/\w+\.py",
        r"glossary\.ipynb",
    ]
    for target in wanted:
        assert re.search(rf"\]\([^)]*{target}", text), f"no link to {target}"


@each_unit
def test_its_goals_are_practised_and_asked(path):
    notebook = read(path)
    about = notebook.metadata["course"]
    goals = set(about["goals"])
    assert about["slug"] == path.stem
    assert len(goals) >= 3
    top = notebook.cells[0].source + notebook.cells[1].source
    assert all(goal in top for goal in goals), "the goals stand at the top, with their numbers"
    for kind in ("lab", "quiz"):
        other = read(ROOT / "solutions" / "source" / f"{kind}-{path.stem}" / f"{kind}.ipynb")
        done = {goal for cell in other.cells for goal in cell.metadata.get("course", {}).get("goals", [])}
        assert done == goals, f"the {kind} has other goals than the notebook"
        assert set(other.metadata["course"]["goals"]) == goals


@each_unit
def test_its_players_can_be_steered(path):
    players = calls(read(path), "Player")
    assert len(players) >= PLAYERS
    for player in players:
        given = {keyword.arg: keyword.value for keyword in player.keywords}
        controls = given["controls"].elts
        assert 2 <= len(controls) <= 4
        assert all(len(control.args) > 1 and control.args[1].value.strip() for control in controls), (
            "a label each"
        )
        assert ast.literal_eval(given["try_this"]).strip()


@each_unit
def test_its_predictions_explain_every_option(path):
    predictions = calls(read(path), "Predict")
    assert len(predictions) >= PREDICTIONS
    for prediction in predictions:
        options = ast.literal_eval(prediction.args[1])
        assert len(options) >= 3
        assert all(len(text) and len(why) > 10 for text, why in options.values())
        assert next(ast.literal_eval(k.value) for k in prediction.keywords if k.arg == "answer") in options


NOT_A_QUANTITY = [
    r"(?m)^\s*\d+\. ",  # a list's numbers
    r"(?m)^#+ .*$",
    r"\b\d\d\.\d+\b",  # goals
    r"\b(19|20)\d\d\b",  # years
    r"(?i)\b(units?|chapters?|sections?|parts?|steps?|RFC|ch\.|§) ?\d[\d.]*((,| and| to|–) ?\d[\d.]*)*",
]


@each_unit
def test_every_number_of_the_prose_is_claimed(path):
    """Each number is computed (`value`), stands in the code (`code`, `cell`), or has a `source`."""
    notebook = read(path)
    code = {c.id: c.source for c in cells(notebook, "code")}
    for cell in cells(notebook, "markdown"):
        text = plain(cell.source)
        for pattern in NOT_A_QUANTITY:
            text = re.sub(pattern, lambda m: " " * len(m[0]), text)
        claimed = set()
        for claim in cell.metadata.get("claims", []):
            assert claim["text"] in cell.source, f"cell {cell.id} does not say {claim['text']!r}"
            assert ("value" in claim) + ("code" in claim) + ("source" in claim) == 1
            assert claim.get("source", "a source").strip()
            if "code" in claim:
                assert claim["code"].strip()
                where = [code[claim["cell"]]] if "cell" in claim else code.values()
                assert any(claim["code"] in source for source in where), f"no cell has {claim['code']!r}"
            for found in re.finditer(re.escape(claim["text"]), cell.source):
                claimed |= set(range(*found.span()))
        for number in re.finditer(r"(?<![\w.])\d[\d.]*(?<!\.)", text):
            said = text[max(0, number.start() - 30) : number.end() + 20].replace("\n", " ")
            assert number.start() in claimed, f"cell {cell.id}: nothing holds the number in “…{said}…”"


# -------------------------------------------------------------------------------------------- executing it


@functools.cache
def session(path):
    """Execute the notebook, and then ask its kernel for the rest; the tests below look at what happened."""
    notebook = read(path)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    seen = SimpleNamespace(
        notebook=notebook, failure="", claims=[], servers=[], killed=None, slower=None, without=""
    )
    with client.setup_kernel():

        def execute(source):
            """Execute something more; returns the text of its result, or "!" and the error."""
            cell = nbformat.v4.new_code_cell(source)
            try:
                client.execute_cell(cell, 0)
            except CellExecutionError as error:
                return f"!{error.ename}: {error.evalue}"
            return "".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in cell.outputs)

        def again(tag):
            """Execute all cells with this tag once more; returns the first error, or what they printed."""
            said = [execute(cell.source) for cell in cells(notebook, "code", tag)]
            return next((s for s in said if s.startswith("!")), "".join(said))

        began = time.monotonic()
        try:
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
        except CellExecutionError as error:
            seen.failure = str(error)
            return seen
        seen.seconds = time.monotonic() - began
        for cell in cells(notebook, "markdown"):
            for claim in cell.metadata.get("claims", []):
                if "value" in claim:
                    value = f"float({claim['value']}) if bool({claim.get('when', 'True')}) else None"
                    seen.claims.append((cell.id, claim, execute(value)))
        seen.slower = slower(notebook, execute)
        if cells(notebook, "code", "starts-servers"):
            kernel = psutil.Process(int(execute("__import__('os').getpid()")))
            again("starts-servers")
            seen.servers = [about(child) for child in kernel.children(recursive=True)]
            for process in kernel.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            seen.killed = again("needs-servers")
            needed = calls(notebook, "require")[0].args[0].value
            execute(f"import sys; sys.modules[{needed!r}] = None")
            seen.without = [execute(cell.source) for cell in cells(notebook, "code", "real")]
    return seen


def executed(path):
    """What happened, provided that the notebook runs at all."""
    seen = session(path)
    assert not seen.failure, "it does not run from top to bottom"
    return seen


def slower(notebook, execute):
    """What the theory check says to a service that needs 5 % more time than it claims."""
    found = [i for i, cell in enumerate(notebook.cells) if "service-time" in cell.metadata.get("tags", [])]
    if not found:
        return None
    execute(notebook.cells[found[0]].source + "\nservice_time = 1.05 * service_time")
    for cell in notebook.cells[found[0] + 1 :]:
        if cell.cell_type == "code":
            said = execute(cell.source)
            if "theory-check" in cell.metadata.get("tags", []):
                return said
    return None


def about(process):
    """The program of a process, and the addresses on which it listens."""
    with contextlib.suppress(psutil.NoSuchProcess):
        ports = [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        listening = [ip.removeprefix("::ffff:") for ip in ports]
        return SimpleNamespace(program=Path(process.exe()).name, listening=listening)
    return SimpleNamespace(program="", listening=[])


@each_unit
@pytest.mark.slow
@pytest.mark.flaky(reruns=1)  # its real servers measure real time, on a machine that others use, too
def test_it_runs_from_top_to_bottom(path, record_property):
    seen = session(path)
    if seen.failure:
        session.cache_clear()
    assert seen.failure == ""
    record_property("seconds, of about 30", round(seen.seconds))


@each_unit
@pytest.mark.slow
def test_it_warns_of_nothing(path):
    for cell in cells(executed(path).notebook, "code"):
        said = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        assert not said, f"cell {cell.id} writes to stderr: {said}"


@each_unit
@pytest.mark.slow
def test_the_prose_says_what_the_run_says(path):
    for cell, claim, value in executed(path).claims:
        if value == "None" or value == "":  # its real server is not installed here
            assert "when" in claim, f"cell {cell}: {claim['value']} is nothing"
            continue
        number = claim.get("number")
        if number is None:
            number = float(re.search(r"\d[\d,]*(\.\d+)?", claim["text"])[0].replace(",", ""))
        assert re.fullmatch(r"-?[\d.e+-]+", value), f"cell {cell}: {claim['value']} gives {value}"
        error = abs(float(value) - number)
        assert error <= claim.get("tolerance", 0) + 1e-9, (
            f"cell {cell} says {claim['text']!r}, but it is {value}"
        )


@each_unit
@pytest.mark.slow
def test_pictures_and_players_have_words(path):
    for cell in cells(executed(path).notebook, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            images = re.findall(r"<img\b[^>]*>", str(data.get("text/html", "")))
            alts = [re.search(r'\balt="([^"]*)"', image) for image in images]
            assert all(alt and len(html.unescape(alt[1])) > 30 for alt in alts), (
                f"cell {cell.id}: no alt text"
            )
            if "image/png" in data:
                assert images or "application/vnd.jupyter.widget-view+json" in data, (
                    f"cell {cell.id}: a bare picture"
                )
            if "application/vnd.jupyter.widget-view+json" in data:
                assert len(data["text/plain"]) > 30, f"cell {cell.id}: the widget has no text beside it"
                assert data["text/html"]


@each_unit
@pytest.mark.slow
def test_a_service_5_percent_slower_fails_the_theory_check(path):
    assert executed(path).slower is not None, "no cells tagged service-time and theory-check"
    assert executed(path).slower.startswith("!AssertionError"), executed(path).slower


@each_with_servers
@pytest.mark.slow
@pytest.mark.servers
def test_its_servers_are_real_and_local(path):
    servers = executed(path).servers
    assert servers, "part four started no process"
    assert any(server.listening for server in servers)
    for server in servers:
        assert server.program
        assert set(server.listening) <= LOOPBACK, f"{server.program} listens on {server.listening}"


@each_with_servers
@pytest.mark.slow
@pytest.mark.servers
def test_killing_the_servers_breaks_part_four(path):
    assert cells(read(path), "code", "needs-servers"), "no cell tagged needs-servers"
    assert executed(path).killed.startswith("!"), executed(path).killed


@each_with_servers
@pytest.mark.slow
def test_without_the_servers_it_says_one_sentence(path):
    said = "".join(executed(path).without).strip()
    assert said.startswith("This section is skipped, because ")
    assert len(said.splitlines()) == 1
