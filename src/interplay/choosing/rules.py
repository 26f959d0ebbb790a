"""The decision table: which pattern for which interaction, why, and what comes second.

Each rule names the facts that it needs (see interaction.FACTS; what it does not name may be either way). For
every interaction exactly one rule holds. Each is backed by a run: see runs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .interaction import Interaction, facts, read


class Pattern(NamedTuple):
    """A pattern in a few words, and the unit that teaches it."""

    says: str
    unit: str


PATTERNS = {
    "monolith": Pattern("one well-kept monolith: a function call, one transaction", "15-choosing-patterns"),
    "call": Pattern("a call (REST or gRPC), with a deadline", "01-request-response"),
    "gateway": Pattern("calls through a gateway, side by side", "08-api-gateway"),
    "mesh": Pattern("a call through a mesh: replicas, retries, ejection", "07-service-mesh"),
    "202": Pattern("a request that is answered 202, and done later", "09-message-queues"),
    "queue": Pattern("a message in a queue", "09-message-queues"),
    "log": Pattern("publish on a log or topic; who needs it keeps a copy", "10-event-streams"),
    "outbox": Pattern("outbox + events: change and news in one commit", "11-reliable-events"),
    "claim check": Pattern("claim check: the payload in a store, its address sent", "11-reliable-events"),
    "saga": Pattern("a saga, with compensations", "12-sagas"),
    "two-phase commit": Pattern("two-phase commit over all databases", "12-sagas"),
    "event sourcing": Pattern("event sourcing: the events are the data", "13-event-sourcing"),
}  # fmt: skip


class Rule(NamedTuple):
    """When the facts are as in `needs` (fact: allowed values), take `pattern`; `runner_up` comes second."""

    name: str
    needs: Mapping[str, tuple[Any, ...]]
    pattern: str
    why: str
    runner_up: str
    why_not: str

    def holds(self, known: Mapping[str, Any]) -> bool:
        """Whether the facts are as this rule needs them."""
        return all(known[fact] in allowed for fact, allowed in self.needs.items())


YES, NO = (True,), (False,)
ALONE = {"changes": ("nothing", "one"), "audit": NO}  # no transaction over services, and no audit

RULES = (
    Rule("one transaction", {"changes": ("several",), "small": YES},
         "monolith", "One team, one database: all or nothing for the price of a commit.",
         "saga", "It sends messages and undoes by hand what a rollback undoes."),
    Rule("several databases", {"changes": ("several",), "small": NO},
         "saga", "Each commits for itself; what cannot go on is undone; a crash goes on from the log.",
         "two-phase commit", "Rows stay locked until all have voted, so what everybody buys becomes slow."),
    Rule("history", {"changes": ("one",), "audit": YES},
         "event sourcing", "What happened is what is kept: every past state can be told, and why.",
         "outbox", "A row knows its last value only."),
    Rule("in one process", {**ALONE, "answer": ("now",), "small": YES},
         "monolith", "A function call is not lost, not late and not down alone.",
         "call", "A network and a second process, with nothing bought for them."),
    Rule("in the same commit", {"changes": ("one",), "audit": NO, "answer": ("never",), "small": YES,
                                "large": NO},
         "monolith", "Who has to know is in the same transaction: nothing can be lost between.",
         "outbox", "A relay, a broker and a delay, for what one commit does."),
    Rule("large", {**ALONE, "answer": ("soon", "never"), "large": YES},
         "claim check", "Only the address goes through the broker; who needs the payload fetches it.",
         "log", "Each copy of the payload goes through the broker, and all other news waits behind it."),
    Rule("long work", {**ALONE, "answer": ("soon",), "large": NO},
         "202", "Accepted at once, done when there is time: a peak becomes a backlog and not an error.",
         "call", "Callers wait for the work, time out, and the work is done for nobody."),
    Rule("ask one", {**ALONE, "answer": ("now",), "small": NO, "many": NO, "goes on": NO},
         "call", "Who needs the answer waits for it: there is no shorter way.",
         "202", "The caller waits all the same, and asks for the end again and again."),
    Rule("ask several", {"changes": ("nothing",), "answer": ("now",), "small": NO, "many": YES,
                          "goes on": NO},
         "gateway", "Asked side by side, it takes as long as the slowest, not as long as all together.",
         "call", "One after the other, each over the long way from the caller."),
    Rule("read a copy", {"changes": ("nothing",), "answer": ("now",), "small": NO, "goes on": YES,
                         "old will do": YES},
         "log", "A copy that is kept by events is there also when its source is not.",
         "mesh", "Retries help against a bad replica, not when all are down."),
    Rule("read the truth", {"changes": ("nothing",), "answer": ("now",), "small": NO, "goes on": YES,
                            "old will do": NO},
         "mesh", "Only its owner knows the truth: ask another replica when one fails.",
         "call", "One attempt at one replica fails as often as that replica."),
    Rule("take it on", {"changes": ("one",), "audit": NO, "answer": ("now",), "small": NO, "many": NO,
                        "goes on": YES},
         "202", "What is accepted is kept, and done when the service is back.",
         "mesh", "Retries outlast a second, not an outage: then the order is gone."),
    Rule("change, and tell", {"changes": ("one",), "audit": NO, "answer": ("now",), "small": NO,
                              "many": YES},
         "outbox", "The own data change now; the others hear of it, also who is down at the moment.",
         "gateway", "Who calls all of them fails with any of them."),
    Rule("a job", {"changes": ("nothing",), "answer": ("never",), "large": NO, "many": NO, "ordered": NO},
         "queue", "It waits until somebody can do it, and one does.",
         "call", "What is not done now is never done."),
    Rule("in order", {"changes": ("nothing",), "answer": ("never",), "large": NO, "many": NO, "ordered": YES},
         "log", "What has the same key is in one partition, and has one reader at a time.",
         "queue", "Consumers that compete overtake each other."),
    Rule("tell several", {"changes": ("nothing",), "answer": ("never",), "large": NO, "many": YES},
         "log", "Each group reads all of it, and a new one can begin at the beginning.",
         "queue", "A message in a queue is for one of its consumers."),
    Rule("tell what changed", {"changes": ("one",), "audit": NO, "answer": ("never",), "small": NO,
                                "large": NO},
         "outbox", "The news is in the commit that it is about: both, or none.",
         "log", "Commit, then publish: a crash between the two loses the news."),
)  # fmt: skip


class Choice(NamedTuple):
    """The recommended pattern and the one that comes second, each with the reason; `unit` teaches it.

    `rule` is the name of the rule that holds, `also` what this interaction needs on top.
    """

    pattern: str
    why: str
    runner_up: str
    why_not: str
    unit: str
    rule: str
    also: tuple[str, ...]


def holding(interaction: Interaction | Mapping[str, Any]) -> list[Rule]:
    """All rules that hold for this interaction. A test says that it is always one."""
    known = facts(interaction)
    return [rule for rule in RULES if rule.holds(known)]


def recommend(interaction: Interaction | Mapping[str, Any]) -> Choice:
    """The first choice for an interaction: an Interaction, or plain data with some of its fields."""
    asked = read(interaction)
    (rule,) = holding(asked)
    unit = PATTERNS[rule.pattern].unit
    return Choice(*rule[2:], unit, rule.name, also(asked, rule.pattern))


def also(asked: Interaction, pattern: str) -> tuple[str, ...]:
    """What an interaction needs on top of its pattern, a sentence each."""
    known, followed = facts(asked), pattern in ("log", "outbox", "event sourcing")
    wanted = {
        "Put the payload into a store and pass its address on (claim check, unit 11).": known["large"]
        and pattern not in ("claim check", "monolith"),
        "Keep the events of what must be explained (unit 13).": asked.audit and known["changes"] == "several",
        "Keep a log of who read it.": asked.audit and known["changes"] == "nothing",
        "Publish under the key, one reader a partition (unit 10).": known["ordered"]
        and pattern in ("202", "outbox", "event sourcing", "claim check", "saga"),
        "Who hears of it is always a little behind: follow the log of changes, do not poll (unit 11).":
        followed and asked.stale < 0.5,
        "Tell the others by an outbox (unit 11).": known["many"] and pattern in ("saga", "event sourcing"),
        "Give it an idempotency key: it will come twice (unit 03).": known["changes"] != "nothing"
        and pattern != "monolith",
        "Run two of it: alone it is a single point of failure.": known["goes on"] and pattern == "monolith",
    }  # fmt: skip
    return tuple(words for words, needed in wanted.items() if needed)
