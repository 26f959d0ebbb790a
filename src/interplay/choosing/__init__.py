"""Choosing a pattern for each interaction, and defending the choice by a run.

interaction.py has the questions, rules.py the decision table, shops.py a small shop for each pattern,
costs.py what a run cost, runs.py the run behind each rule. maturity.py, radar.py and roi.py serve the method.
"""

from .interaction import Interaction, facts
from .maturity import DIMENSIONS, LEVELS, levels, next_milestone, overall, plan
from .roi import roi
from .rules import PATTERNS, RULES, Choice, recommend

__all__ = [
    "DIMENSIONS",
    "LEVELS",
    "PATTERNS",
    "RULES",
    "Choice",
    "Interaction",
    "facts",
    "levels",
    "next_milestone",
    "overall",
    "plan",
    "recommend",
    "roi",
]
