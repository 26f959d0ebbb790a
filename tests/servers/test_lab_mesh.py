"""The unmarked end of lab 07: its policy on a real Envoy, beside the simulator's numbers."""

import re
from pathlib import Path

import pytest

from coursework import samples
from coursework.layout import Assignment, Course
from interplay.servers import envoy

pytest.importorskip("httpx")
pytest.importorskip("aiohttp")
pytest.importorskip("cryptography")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(envoy.missing()), reason=envoy.missing())]

COURSE = Course(Path(__file__).resolve().parents[2])
ROW = re.compile(r"^(noisy|two bad) +(simulated|Envoy) +([\d.]+)% +([\d.]+) s +([\d.]+)$", re.M)


def test_the_labs_policy_does_on_envoy_what_it_does_in_the_simulator(capsys):
    notebook = samples.reference(COURSE, Assignment("lab", "07-service-mesh"))
    cells = {cell.id: cell.source for cell in notebook.cells}
    assert cells["try-envoy"].startswith("ENVOY = False"), "marking must not start servers"
    names: dict = {}
    for cell in ("mesh", "mesh-1", "on-envoy", "try-envoy"):
        exec(cells[cell].replace("ENVOY = False", "ENVOY = True"), names)
    told = capsys.readouterr().out
    seen = {(day, where): tuple(map(float, rest)) for day, where, *rest in ROW.findall(told)}
    assert len(seen) == 4, told
    for day in ("noisy", "two bad"):
        answered, within, attempts = seen[day, "Envoy"]
        assert answered >= 96, told
        assert within < 1.5, told
        assert attempts == pytest.approx(seen[day, "simulated"][2], abs=0.15), told
    assert "ejected: 2" in told.split("two bad  Envoy")[1], told
