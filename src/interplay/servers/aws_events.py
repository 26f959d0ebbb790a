"""EventBridge: a bus, rules whose patterns look into an event, an archive and its replay.

A rule's pattern is data (EventBridge User Guide, "Event patterns"): a router, not a log. What no rule wants
is gone, unless an archive keeps it.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import Any


class Events:
    """The event buses of an AWS endpoint."""

    def client(self, service: str) -> Any:  # of the class that this is mixed into
        """A boto3 client."""
        raise NotImplementedError

    def arn(self, url: str) -> str:
        """A queue's name in the rules of other services."""
        raise NotImplementedError

    def bus(self, name: str) -> str:
        """An event bus of this name, without rules; its name."""
        events = self.client("events")
        with contextlib.suppress(events.exceptions.ResourceAlreadyExistsException):
            events.create_event_bus(Name=name)
        for rule in events.list_rules(EventBusName=name)["Rules"]:
            if "ManagedBy" not in rule:  # an archive's own
                events.remove_targets(Rule=rule["Name"], EventBusName=name, Ids=["queue"])
                events.delete_rule(Name=rule["Name"], EventBusName=name)
        return name

    def rule(self, bus: str, name: str, pattern: dict[str, Any], to: str) -> str:
        """Events of the bus that match the pattern go to the queue with the URL `to`; the rule's name."""
        events = self.client("events")
        events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": self.arn(to)}])
        return name

    def put(self, bus: str, source: str, kind: str, detail: dict[str, Any]) -> str:
        """Put an event on the bus; its id. `kind` is what EventBridge calls detail-type."""
        entry = {"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
        answer = self.client("events").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        return str(answer["Entries"][0]["EventId"])

    def archive(self, bus: str, name: str) -> str:
        """Keep all events of the bus from now on; the archive's name."""
        events = self.client("events")
        with contextlib.suppress(events.exceptions.ResourceNotFoundException):
            events.delete_archive(ArchiveName=name)
        events.create_archive(ArchiveName=name, EventSourceArn=events.describe_event_bus(Name=bus)["Arn"])
        return name

    def replay(self, archive: str, bus: str, since: float = 0.0) -> int:
        """Send what is archived since that time (s since the epoch) to the bus again; how many are archived.

        The events have "replay-name" in addition, and with moto new ids: tell one that has been seen by
        something in its detail. Amazon's own are not in their old order either.
        """
        events = self.client("events")
        kept = events.describe_archive(ArchiveName=archive)
        name, until = f"replay-{uuid.uuid4()}", time.time() + 60
        where = {"Arn": events.describe_event_bus(Name=bus)["Arn"]}
        events.start_replay(
            ReplayName=name,
            EventSourceArn=kept["ArchiveArn"],
            EventStartTime=since,
            EventEndTime=until,
            Destination=where,
        )
        return int(kept["EventCount"])
