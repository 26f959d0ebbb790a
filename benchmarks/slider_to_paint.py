"""Slider to repaint: the player beside interactive_output with inline matplotlib, in one run in Chromium.

    python benchmarks/slider_to_paint.py [moves]

The same model (a retry storm of 60 simulated seconds) is steered in both ways, by the same key, in the same
JupyterLab, in turns. Printed: the medians, their ratio (it must be below 0.5), frames per second with 500
messages in flight, and what the kernel does meanwhile. Nothing else should run on the machine.
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


class Steered:
    """An open notebook whose slider is moved by a key."""

    def __init__(self, lab: Lab, browser: object, name: str, slider: str, *cells: str) -> None:
        lab.write(f"{name}.ipynb", [MODEL.replace("kernel.pid", f"{name}.pid"), *cells])
        self.notebook = Notebook(lab, browser, f"{name}.ipynb")
        self.page = self.notebook.page
        self.notebook.run_all()
        self.page.wait_for_timeout(2000)
        self.kernel = psutil.Process(int((lab.folder / f"{name}.pid").read_text()))
        self.slider = slider
        self.page.evaluate(PROBE)

    def move(self) -> tuple[float, float]:
        """Press the right arrow once: ms to paint, and ms of the kernel's processor time."""
        before, n = self.cpu(), self.page.evaluate("window.took.length")
        self.page.locator(self.slider).first.focus()
        self.page.keyboard.press("ArrowRight")
        self.page.wait_for_function("n => window.took.length > n", arg=n, timeout=60_000)
        took = self.page.evaluate("window.took.at(-1)")
        self.page.wait_for_timeout(250)
        return took, 1000 * (self.cpu() - before)

    def cpu(self) -> float:
        return sum(self.kernel.cpu_times()[:2])


def main(n: int = 15) -> int:
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            with chromium_running() as browser:
                handle = ".noUi-handle, .widget-slider [role=slider]"
                classic = Steered(lab, browser, "classic", handle, CLASSIC)
                player = Steered(lab, browser, "player", ".ip-range", PLAYER)
                # in turns, so that whatever else runs on the machine slows both
                pairs = [(classic.move(), player.move()) for _ in range(n + 2)][2:]
                classic.notebook.close()
                player.notebook.close()
                crowd = Steered(lab, browser, "crowd", ".ip-range", CROWD)
                crowd.page.locator(".ip-scrub").evaluate(
                    "e => { e.value = 5; e.dispatchEvent(new Event('input', {bubbles: true})); }"
                )
                crowd.page.locator(".ip-play").click()
                before, began = crowd.cpu(), time.monotonic()
                fps, flying = crowd.page.evaluate(FRAMES, 5)
                busy = (crowd.cpu() - before) / (time.monotonic() - began)
                crowd.notebook.close()
        finally:
            lab.stop()
    medians = []
    labels = ("interactive_output + inline matplotlib", "player")
    for label, rows in zip(labels, zip(*pairs, strict=True), strict=True):
        took, cpu = [row[0] for row in rows], statistics.median(row[1] for row in rows)
        medians.append(statistics.median(took))
        print(f"{label:40} {medians[-1]:4.0f} ms  ({min(took):.0f} to {max(took):.0f}; kernel {cpu:.0f} ms)")
    ratio = medians[1] / medians[0]
    print(f"{'ratio':40} {ratio:4.2f}     (must be below 0.5; {n} moves each, in turns)")
    print(f"{'frames per second':40} {fps:4.0f}     with {flying:.0f} messages in flight")
    print(f"{'kernel while playing':40} {100 * busy:4.1f} % of a core")
    return 0 if ratio < 0.5 else 1


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:2])))
