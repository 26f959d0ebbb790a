"""Slider to repaint: the player beside interactive_output with inline matplotlib, in one run in Chromium.

    python benchmarks/slider_to_paint.py [moves]

The same model (a retry storm of 60 simulated seconds) is steered in both ways, by the same key, in the same
JupyterLab. Printed: the medians, their ratio (it must be below 0.5), frames per second with 500 messages in
flight, and what the kernel does meanwhile. Nothing else should run on the machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from browser_tools import Lab, Notebook, chromium_running  # noqa: E402

MODEL = f"""import os, sys; sys.path.insert(0, {str(ROOT / "tests" / "player")!r})
from pathlib import Path
_ = Path("kernel.pid").write_text(str(os.getpid()))
from storm_model import storm"""

CLASSIC = """import ipywidgets as widgets
import matplotlib.pyplot as plt
%matplotlib inline
load = widgets.IntSlider(20, 5, 60)
def draw(load):
    run = storm(load=load).run(until=60)
    s = run.series(1.0)
    figure, (users, queue, slow) = plt.subplots(3, 1, sharex=True, figsize=(8, 4.5))
    users.plot(s.time, s.offered, label="offered")
    users.plot(s.time, s.goodput, label="goodput")
    queue.plot(*run.trace.gauge("inventory", "queue"), drawstyle="steps-post", label="inventory")
    slow.plot(s.time, s.p99, label="p99")
    for axes in (users, queue, slow):
        axes.legend()
    plt.show()
display(load, widgets.interactive_output(draw, {"load": load}))"""

PLAYER = """from interplay.player import *
Player(storm, until=60, controls=[Slider("load", "Load", 5, 60, value=20)])"""

CROWD = """from interplay import *
from interplay.player import *
def crowd(rate):
    shop = Simulation(seed=1, delay=Constant(1.0))
    web = shop.client(shop.service("stock", workers=50, time=Constant(0.01)))
    shop.users(lambda request: web.call(request), rate=rate)
    return shop
Player(crowd, until=30, controls=[Slider("rate", "Rate", 100, 600, value=280)])"""

PROBE = """() => {
  window.took = [];
  window.since = 0;
  const done = () => { if (since) took.push(performance.now() - since); since = 0; };
  addEventListener('keydown', e => { if (e.key === 'ArrowRight') since = performance.now(); }, true);
  const image = e => { if (e.target.tagName === 'IMG') requestAnimationFrame(done); };
  document.addEventListener('load', image, true);
  addEventListener('ip-painted', done);
}"""

FRAMES = """seconds => new Promise(done => {
  const root = document.querySelector('.ip-player'), start = performance.now(), gaps = [], flying = [];
  let last = root.dataset.time, drawn = 0, before = start;
  const look = now => {
    if (root.dataset.time !== last) { drawn++; flying.push(+root.dataset.inFlight); }
    last = root.dataset.time;
    gaps.push(now - before); before = now;
    if (now - start < seconds * 1000) requestAnimationFrame(look);
    else done([drawn / (now - start) * 1000, flying.reduce((a, b) => a + b, 0) / flying.length]);
  };
  requestAnimationFrame(look);
})"""


def moves(notebook: Notebook, slider: str, n: int) -> list[float]:
    """Press the right arrow on a slider `n` times, each after the last answer; the times to paint, in ms."""
    page = notebook.page
    page.evaluate(PROBE)
    page.locator(slider).first.focus()
    for i in range(n + 2):
        page.keyboard.press("ArrowRight")
        page.wait_for_function("n => window.took.length > n", arg=i, timeout=20_000)
        page.wait_for_timeout(250)
    return page.evaluate("window.took")[2:]


def kernel(lab: Lab) -> psutil.Process:
    return psutil.Process(int((lab.folder / "kernel.pid").read_text()))


def opened(lab: Lab, browser: object, name: str, *cells: str) -> Notebook:
    lab.write(name, [MODEL, *cells])
    notebook = Notebook(lab, browser, name)
    notebook.run_all()
    notebook.page.wait_for_timeout(2000)
    return notebook


def main(n: int = 15) -> int:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            with chromium_running() as browser:
                classic = opened(lab, browser, "classic.ipynb", CLASSIC)
                one = moves(classic, ".noUi-handle, .widget-slider [role=slider]", n)
                classic.close()
                player = opened(lab, browser, "player.ipynb", PLAYER)
                other = moves(player, ".ip-range", n)
                player.close()
                crowd = opened(lab, browser, "crowd.ipynb", CROWD)
                crowd.page.locator(".ip-scrub").evaluate(
                    "e => { e.value = 5; e.dispatchEvent(new Event('input', {bubbles: true})); }"
                )
                crowd.page.locator(".ip-play").click()
                process, began = kernel(lab), time.monotonic()
                before = sum(process.cpu_times()[:2])
                fps, flying = crowd.page.evaluate(FRAMES, 5)
                busy = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
                crowd.close()
        finally:
            lab.stop()
    ratio = statistics.median(other) / statistics.median(one)
    for label, took in (("interactive_output + inline matplotlib", one), ("player", other)):
        low, high = min(took), max(took)
        print(f"{label:40} {statistics.median(took):4.0f} ms  ({low:.0f} to {high:.0f}, {len(took)} moves)")
    print(f"{'ratio':40} {ratio:4.2f}     (must be below 0.5)")
    print(f"{'frames per second':40} {fps:4.0f}     with {flying:.0f} messages in flight")
    print(f"{'kernel while playing':40} {100 * busy:4.1f} % of a core")
    return 0 if ratio < 0.5 else 1


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:2])))
