# ruff: noqa: E501, PTH109, PTH211
"""Hostile submissions for the tiny lab. Each is worth 0 points by its honest merits, and says so if it
succeeds: it prints a word that begins with LEAK, leaves something called ATTACK, or gets a mark.

All are bounded: where the sandbox fails, a few hundred processes sleep for a minute, and two or three
gigabytes are used. The only machine that they call is a listener of the test's own.
"""

import copy
import json
import os
import socket

from nbformat.v4 import new_code_cell, new_markdown_cell

ATTACKS = {}
"""Name -> function(notebook, folder, where), which changes the stub, or returns bytes for the notebook's file."""


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def cell(notebook, grade_id):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def tests(notebook):
    return [cell(notebook, "double-1"), cell(notebook, "count-1")]


def code(name, source):
    """An attack that is the text of the answer `double`; WHERE is the course's folder, PORT the listener's."""

    def change(notebook, folder, where):
        text = source.replace("WHERE", repr(str(where["root"]))).replace("PORT", str(where["port"]))
        cell(notebook, "double").source = text

    ATTACKS[name] = change


# ---- that does not end, or takes all there is

code("loop", "def double(x):\n    while True: pass")
code("loop_in_the_cell", "while True: pass")
code(
    "loop_that_catches_everything",
    """
def work():
    while True: sum(range(10000))
def double(x):
    while True:
        try: work()
        except BaseException: pass""",
)
code("sleep_at_once", "import time\ntime.sleep(10**6)")
code(
    "deaf_to_signals",
    """
import signal, time
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
def double(x):
    while True: time.sleep(60)""",
)
code(
    "stops_itself",
    "import os, signal\ndef double(x):\n    os.kill(os.getpid(), signal.SIGSTOP); os.kill(0, signal.SIGSTOP)",
)
code(
    "fork_bomb",
    """
import os, time
n = 0
for n in range(350):
    try:
        if os.fork() == 0:
            os.setsid(); time.sleep(60); os._exit(0)
    except OSError: break
print("LE" + "AK: processes", n) if n > 100 else None""",
)
code(
    "threads",
    """
import threading, time
n = 0
try:
    for n in range(300): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError: pass
print("LE" + "AK: threads", n) if n > 100 else None""",
)
code(
    "memory",
    """
kept = []
for i in range(60): kept.append(bytearray(b"x" * (50 << 20)))
print("LE" + "AK: MB of memory", 50 * len(kept))""",
)
code(
    "memory_of_many",
    """
import os, time
for i in range(12):
    if os.fork() == 0:
        kept = [bytearray(b"x" * (10 << 20)) for _ in range(30)]
        time.sleep(5); os._exit(0)
time.sleep(5)
print("LE" + "AK: MB of memory", 12 * 300)""",
)
code(
    "shared_memory",
    """
import mmap
kept = [mmap.mmap(-1, 100 << 20) for _ in range(25)]
for m in kept: m.write(b"x" * (100 << 20))
import time; time.sleep(2)
print("LE" + "AK: MB of shared memory", 2500)""",
)
code(
    "disk",
    """
import os
n = 0
for place in (".", "/tmp", os.path.expanduser("~"), "/var/tmp", "/dev/shm", "/dev", "/run", "/"):
    for j in range(10):
        try:
            with open(f"{place}/ATTACK_FILL_{j}", "wb") as f:
                for i in range(20): n += f.write(b"x" * (1 << 20))
        except OSError: break
import time; time.sleep(.6)
print("LE" + "AK: MB on disk", n >> 20) if n > 200 << 20 else None""",
)
code(
    "descriptors",
    "import os\nkept = []\ntry:\n    while len(kept) < 5000: kept.append(os.pipe())\nexcept OSError: pass\nprint('LE' + 'AK') if len(kept) > 2000 else None",
)
code(
    "output_of_one_line", "for i in range(40): print('x' * (1 << 20))\ndef double(x): print('y' * (1 << 24))"
)
code(
    "output_of_many",
    "from IPython.display import display\nfor i in range(20000): display({'text/plain': 'x' * 2000}, raw=True)",
)
code("recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef double(x): return double(x)")
code(
    "zombies",
    "import os\nfor i in range(300):\n    try:\n        if os.fork() == 0: os._exit(0)\n    except OSError: break",
)

# ---- that ends too early

code("exit_in_the_function", "import os\ndef double(x): os._exit(0)")
code("exit_in_the_cell", "import os\nos._exit(0)")
code("sys_exit", "import sys\ndef double(x): sys.exit(0)\nraise SystemExit")
code("kill_all", "import os, signal\nos.kill(-1, signal.SIGKILL)")
code("segfault", "import ctypes\ndef double(x): ctypes.string_at(0)")
code(
    "kill_the_marker",
    """
import os, signal
for pid in {os.getppid(), *(int(p) for p in os.listdir("/proc") if p.isdigit())} - {0, os.getpid()}:
    try:
        said = open(f"/proc/{pid}/cmdline").read()
        if "marking" in said or "pytest" in said: print("LE" + "AK: sees", said); os.kill(pid, signal.SIGUSR2)
    except OSError: pass""",
)

# ---- that forges a verdict

EQUAL = """
class E(int):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda s, o: True
    __ne__ = lambda s, o: False
    __hash__ = int.__hash__
    __sub__ = __rsub__ = __abs__ = __mul__ = lambda s, *o: s
"""
code(
    "equal_to_everything",
    EQUAL + "double = lambda x: E(1)\ncount = lambda *a: {'state': E(1), 'actions': [E(1)]}",
)
code("list_equal_to_everything", EQUAL.replace("int", "list") + "double = lambda x: E()\ncount = double")
code(
    "dict_that_lies",
    "class D(dict):\n    __getitem__ = __eq__ = lambda s, k: []\n    items = lambda s: [('state', 1)]\ncount = double = lambda *a: D()",
)
code(
    "strips_checks",
    "import ast\nclass T(ast.NodeTransformer):\n    def visit_Expr(self, n): return ast.Pass()\nget_ipython().ast_transformers.append(T())",
)
code(
    "replaces_run_cell",
    "class R: success = True; error_before_exec = error_in_exec = result = info = None; execution_count = 1\nget_ipython().run_cell = lambda *a, **k: R()",
)
code(
    "shows_no_error",
    "from IPython.display import clear_output\nget_ipython().showtraceback = lambda *a, **k: None\nget_ipython().events.register('post_run_cell', lambda r: clear_output())",
)
code(
    "replaces_the_checks",
    "import coursework.checks as c\nc.Checks.done = c.Checks._run = lambda *a: None\nc._difference = lambda *a: None\nimport sys; sys.modules['coursework.checks'] = None",
)
code(
    "takes_the_tests_names",
    "class Checks:\n    def __init__(s, *a): pass\n    that = lambda s, *a, **k: (lambda f: f)\n    done = lambda s: None\n    inputs = lambda s, n: []\nchecks = Checks()\ndef never_fails(*a, **k): return 1\ndef judge(run): return None\nexpect = len = print = range = Checks",
)
code(
    "replaces_the_answers",
    "from coursework.marking import answers\nanswers.answer = lambda n, r: {'names': {k: {'call': True} for k in ('Checks', 'checks', 'double', 'print')}, 'value': True, 'seconds': -10**9}",
)
code(
    "partial_credit",
    "def double(x):\n    get_ipython().displayhook(60)\n    raise ValueError\ncount = double",
)
code("too_much_credit", "def double(x):\n    get_ipython().displayhook(1e9)\n    return 0\ncount = double")
code(
    "turns_back_the_clock",
    "import signal\ndef double(x):\n    signal.setitimer(signal.ITIMER_VIRTUAL, 0); signal.signal(signal.SIGVTALRM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN)\n    while True: pass",
)
code(
    "raises_like_a_check",
    "class CheckFailed(Exception): pass\nclass _TooLong(BaseException): pass\ndef double(x): raise CheckFailed('0 of 2 checks failed')\ndef count(*a): raise _TooLong",
)
code(
    "errors_that_bite",
    "class X(Exception):\n    __name__ = property(lambda s: 1/0)\n    def __str__(s): raise SystemExit\n    __repr__ = __str__\ndef double(x): raise X\ndef count(*a): raise type('KeyboardInterrupt', (Exception,), {})",
)

SOCKETS = """
import os, socket, struct, json
def others():
    for n in range(3, 64):
        try: yield socket.socket(fileno=os.dup(n))
        except OSError: pass
def frame(x): return struct.pack("!I", len(x)) + x
GOOD = frame(json.dumps({"outputs": [], "count": 1, "value": 6, "names": {}}).encode())
"""
code("forged_replies", SOCKETS + "for s in others():\n    for i in range(50): s.send(GOOD)")
code(
    "forged_reply_in_a_call", SOCKETS + "def double(x):\n    for s in others(): s.send(GOOD)\n    os._exit(0)"
)
code(
    "half_a_reply",
    SOCKETS + "def double(x):\n    for s in others(): s.send(GOOD[:9])\n    import time; time.sleep(10**6)",
)
code("huge_reply", SOCKETS + "for s in others(): s.send(struct.pack('!I', 2**32 - 1) + b'x' * 1000)")
code(
    "endless_reply",
    SOCKETS
    + "for s in others():\n    s.settimeout(1)\n    try:\n        s.sendall(struct.pack('!I', 15 << 20) + b'[' * (15 << 20))\n    except OSError: pass",
)
code(
    "no_json",
    SOCKETS
    + "def double(x):\n    for s in others(): s.send(frame(b'[' * 100000) + frame(b'\\xff') + frame(b'NaN') + frame(b'9' * 10000))",
)
code(
    "no_output",
    SOCKETS
    + "bad = [{'output_type': 'error'}, 1, {'output_type': 'stream', 'name': 'stdout', 'text': {'a': 1}}, {'output_type': 'display_data', 'data': {'text/plain': '\\ud800'}, 'metadata': {}}]\nfor s in others(): s.send(frame(json.dumps({'outputs': bad, 'count': 'x'}).encode()))",
)
code("deep_answer", "def double(x):\n    y = []\n    for i in range(10**5): y = [y]\n    return y")
code("large_answer", "def double(x): return 'x' * (40 << 20)")
code(
    "large_number",
    "def double(x): return 10 ** 100000\ndef count(*a): return {'state': float('nan'), 'actions': [float('inf')]}",
)
code("half_characters", "print('\\ud800')\ndef double(x): print('\\udfff'); return '\\ud800'\n'\\ud800'")

# ---- that reads what is not its own

code(
    "reads_the_tests",
    """
import os
for top in (WHERE, "../../..", "/sub", "/submission", ".", "/tmp", "/root", "/home", "/work", "/proc/1/root"):
    for above, _, files in os.walk(top):
        if "site-packages" in above or ".pyenv" in above: continue
        for name in files:
            try: text = open(os.path.join(above, name), errors="ignore").read()
            except OSError: continue
            if "BEGIN HIDDEN " + "TESTS\\\\n" in text or "SQLite " + "format 3" in text[:20]: print("LE" + "AK", above, name)""",
)
code(
    "reads_history",
    "def double(x):\n    print('LE' + 'AK' if any('checks = ' + 'Checks' in i for i in In) else '')\n    return 0",
)
code(
    "reads_frames",
    """
import gc, sys
def double(x):
    f = sys._getframe()
    while f:
        if "expect" in f.f_locals or "never_fails" in f.f_globals: print("LE" + "AK: frames")
        f = f.f_back
    print("LE" + "AK: objects") if any(type(o).__name__ in ("Expect", "Checks") for o in gc.get_objects()) else 0
    raise ValueError("LE" + "AK: frames" if "expect" in globals() else "")""",
)
code(
    "reads_the_environment",
    "import os, glob\nseen = str(dict(os.environ))\nfor p in glob.glob('/proc/[0-9]*/environ'):\n    try: seen += open(p).read()\n    except OSError: pass\nprint('LE' + 'AK' if 'hunter' + '2' in seen or 'COURSE_' + 'SALT' in seen else '')",
)
code(
    "reads_other_submissions",
    "import glob\nfor p in glob.glob(WHERE + '/solutions/submitted/*/*/*') + glob.glob('../../*/*/*.ipynb'): print('LE' + 'AK', p)",
)
code(
    "changes_the_gradebook",
    "import sqlite3\nfor p in (WHERE + '/solutions/gradebook.db', '../../../gradebook.db'):\n    try:\n        c = sqlite3.connect(f'file:{p}?mode=rw', uri=True); c.execute('update grade set manual_score = 60'); c.commit(); print('LE' + 'AK')\n    except sqlite3.Error: pass",
)
code(
    "reads_memory_of_others",
    "import ctypes\nl = ctypes.CDLL(None)\nfor pid in range(1, 40):\n    if l.ptrace(16, pid, 0, 0) == 0: print('LE' + 'AK: ptrace')\ntry:\n    open('/proc/1/mem', 'r+b').seek(1); open('/dev/mem')\n    print('LE' + 'AK: memory')\nexcept OSError: pass",
)
code(
    "leaves_a_note_for_the_next",
    """
import os, socket
PLACES = {"/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~"), "."}
for place in PLACES:
    if os.path.exists(f"{place}/ATTACK_NOTE"): print("LE" + "AK: a note", place)
for place in PLACES:
    try: open(f"{place}/ATTACK_NOTE", "w").write("x")
    except OSError: pass
s = socket.socket(socket.AF_UNIX)
try: s.connect("\\0ATTACK_NOTE"); print("LE" + "AK: a line")
except OSError: pass
try: s = socket.socket(socket.AF_UNIX); s.bind("\\0ATTACK_NOTE"); s.listen()
except OSError: pass""",
)
ATTACKS["reads_a_note"] = ATTACKS["leaves_a_note_for_the_next"]

# ---- that reaches out

code(
    "network",
    """
import socket
for where in (("127.0.0.1", PORT), ("localhost", PORT), ("0.0.0.0", PORT)):
    try: socket.create_connection(where, timeout=2).sendall(b"hello")
    except OSError: pass""",
)
code(
    "other_sockets",
    "import socket\nfor family in (16, 17, 38, 40, 44):\n    for kind in (1, 2, 3, 5):\n        try: socket.socket(family, kind); print('LE' + 'AK', family)\n        except OSError: pass",
)
code(
    "daemon",
    "import os, sys, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)', 'ATTACK_DAEMON'])\nimport threading; threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(.5)",
)
code(
    "at_the_end",
    "import atexit, os\natexit.register(lambda: open('/tmp/ATTACK_END', 'w'))\nclass D:\n    def __del__(s): open('/tmp/ATTACK_END', 'w')\nd = D()",
)
code(
    "breaks_out",
    "import ctypes, os\nl = ctypes.CDLL(None)\nfor call in (lambda: l.unshare(0x10000000), lambda: l.unshare(0x20000), lambda: l.mount(b'none', b'/tmp', b'tmpfs', 0, None), lambda: l.umount2(b'/proc', 2), lambda: l.chroot(b'.'), lambda: l.setns(3, 0), lambda: l.syscall(425, 8, 0), lambda: l.syscall(321, 0, 0, 0), lambda: l.setuid(0) or 0 if os.getuid() else -1, lambda: l.syscall(435, 0, 0)):\n    if call() >= 0: print('LE' + 'AK')",
)
code(
    "changes_the_environment_of_all",
    "import sys, os, numpy\nfor p in (numpy.__file__, sys.executable, os.path.join(sys.prefix, 'ATTACK_FILE'), '/usr/bin/ATTACK_FILE', '/etc/ATTACK_FILE', '/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj'):\n    try:\n        f = open(p, 'a'); print('LE' + 'AK', p) if 'oom' not in p else f.write('-1000'); f.close()\n    except OSError: pass",
)
code(
    "swaps_the_notebook",
    "import os\nfor name in [*os.listdir('.'), 'lab.ipynb']:\n    try: os.remove(name)\n    except OSError: pass\n    os.symlink(WHERE + '/victim.txt', name)",
)
code(
    "terminal",
    "import fcntl, os\nfor n in (0, 1, 2):\n    try: fcntl.ioctl(n, 0x5412, b'x'); print('LE' + 'AK')\n    except OSError: pass",
)

# ---- in the page that the instructor reads

SCRIPT = "<scr' + 'ipt>alert(1)</scr' + 'ipt>"
code(
    "script_in_output",
    f"from IPython.display import HTML, SVG, Javascript, Markdown, Latex, display\nt = '{SCRIPT}'\nfor kind in (HTML, Markdown, Latex): display(kind(t + '<img src=x onerr' + 'or=alert(1)>'))\ndisplay(Javascript('ATTACK()'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\">' + t + '</svg>'))\ndisplay({{'text/html': t, 'image/png': '\"><scr' + 'ipt>', 'application/vnd.x+json': t}}, raw=True)\nprint(t)",
)
code(
    "script_in_errors",
    f"t = '{SCRIPT}'\ndef double(x): raise type(t, (Exception,), {{}})(t)\nraise type(t, (Exception,), {{}})(t)",
)
code(
    "script_in_answers",
    f"t = '{SCRIPT}'\ndef double(x): print(t); return {{t: [t]}}\ndef count(s, e): return {{'state': t, 'actions': [t]}}",
)


@attack
def script_in_text(notebook, folder, where):
    text = "<script>alert(1)</script><a href='javascript:alert(1)'>x</a><svg onload=alert(1)>"
    notebook.cells.insert(
        0, new_markdown_cell(text + "[y](javascript:alert(2)) ![z](attachment:a.svg)", id="mine")
    )
    notebook.cells[0]["attachments"] = {
        "a.svg": {"image/svg+xml": "PHN2Zz48c2NyaXB0PmFsZXJ0KDEpPC9zY3JpcHQ+PC9zdmc+"}
    }
    notebook.metadata["title"] = "</title><script>alert(3)</script>"


# ---- damaged or dressed-up notebooks


@attack
def more_points(notebook, folder, where):
    for test in tests(notebook):
        test.metadata.nbgrader.update(points=1000, checksum="x", locked=False)
        test.source = "pass"


@attack
def tests_as_answers(notebook, folder, where):
    for test in tests(notebook):
        test.metadata.nbgrader.update(solution=True, locked=False, points=2)
        test.source = "1"


@attack
def tests_deleted(notebook, folder, where):
    notebook.cells = [c for c in notebook.cells if c not in tests(notebook)]


@attack
def tests_twice(notebook, folder, where):
    for test in tests(notebook):
        for place in (0, len(notebook.cells)):
            again = copy.deepcopy(test)
            again.source, again["id"] = "pass", f"again-{place}-{test.id}"
            notebook.cells.insert(place, again)


@attack
def tests_skipped(notebook, folder, where):
    for test in tests(notebook):
        test.metadata["tags"] = ["skip-execution", "raises-exception"]


@attack
def answer_as_locked(notebook, folder, where):
    """Locked cells are run by the examiner, too: an answer must not pass for one."""
    answer = cell(notebook, "double")
    answer.metadata.nbgrader.update(solution=False, locked=True, grade=False)
    answer.source = "import coursework.checks as c\nc.Checks.done = lambda self: None"
    own = new_code_cell(answer.source, id="own", metadata=copy.deepcopy(answer.metadata))
    own.metadata.nbgrader["grade_id"] = "own"
    notebook.cells.insert(0, own)


@attack
def strange_ids(notebook, folder, where):
    for number, test in enumerate(tests(notebook)):
        test.metadata.nbgrader["grade_id"] = [["double-1"], {"a": 1}][number]


@attack
def old_format(notebook, folder, where):
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": []}
    ).encode()


@attack
def no_such_kernel(notebook, folder, where):
    notebook.metadata.kernelspec = {"name": "no-such-kernel", "display_name": "x", "language": "julia"}


@attack
def cut_off(notebook, folder, where):
    return b'{"cells": [ {"cell_type": "code", '


@attack
def empty(notebook, folder, where):
    return b""


@attack
def deep(notebook, folder, where):
    return b'{"cells":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@attack
def large(notebook, folder, where):
    notebook.cells.append(new_markdown_cell("x" * (50 << 20), id="large"))


@attack
def half_characters_in_the_source(notebook, folder, where):
    notebook.cells.append(new_code_cell("HALF", id="half"))
    return json.dumps(notebook).replace("HALF", "\\ud800").encode()


@attack
def other_name(notebook, folder, where):
    (folder / "lab (final).ipynb").write_text(json.dumps(notebook))


# ---- files beside the notebook


@attack
def modules_in_the_way(notebook, folder, where):
    for name in (
        "numpy",
        "simpy",
        "json",
        "coursework",
        "interplay",
        "ipykernel",
        "IPython",
        "sitecustomize",
        "ast",
    ):
        (folder / f"{name}.py").write_text(
            "open('/tmp/ATTACK_MODULE', 'w')\nclass _M:\n    def __getattr__(s, n): return s\n    __call__ = __getattr__\nimport sys; sys.modules[__name__] = _M()"
        )
    cell(
        notebook, "double"
    ).source = "from coursework.checks import Checks\nimport numpy\nChecks.done = lambda s: 0"


@attack
def links(notebook, folder, where):
    os.symlink(where["root"] / "solutions" / "gradebook.db", folder / "data.db")
    os.symlink("/etc/shadow", folder / "shadow.txt")
    cell(
        notebook, "double"
    ).source = (
        "import os\nprint('LE' + 'AK') if os.path.exists('data.db') or os.path.exists('shadow.txt') else 0"
    )


@attack
def linked_folder(notebook, folder, where):
    os.symlink(where["root"] / "solutions" / "source", folder / "source")


@attack
def notebook_of_another(notebook, folder, where):
    os.symlink(where["root"] / "solutions/submitted/mm-honest/lab-99-tiny/lab.ipynb", folder / "lab.ipynb")
    return


@attack
def pipe(notebook, folder, where):
    os.mkfifo(folder / "data.csv")


@attack
def socket_file(notebook, folder, where):
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind("data.sock")
    finally:
        os.chdir(here)


@attack
def strange_file_names(notebook, folder, where):
    for name in ("a\nb.txt", "-rf", "..x", "\u202etxt.py", "' onload=alert(1) x='.png"):
        (folder / name).write_text("x")
