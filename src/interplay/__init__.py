"""Interplay: a simulated shop of services, small enough to read in an evening.

Each pattern of the course is one file here. A run is recorded as a trace; figures and the player
read the trace.
"""

from .arguments import ArgumentError
from .balancing import LeastRequest, RoundRobin, TwoChoices
from .bulkhead import Bulkhead
from .call import Reply, Request
from .circuit_breaker import CircuitBreaker, ConsecutiveFailures, FailureRate
from .client import Client
from .consumer_group import ConsumerGroup, assign
from .consumers import consumer, fate, long_consumer
from .hedging import Hedge
from .log import PartitionedLog, partition_of
from .outlier import OutlierDetector
from .participants import participant
from .pubsub import key_matches, matches
from .queue import MessageQueue
from .queueing import AdaptiveLifo, ControlledDelay, Fifo, Lifo, Priority
from .rate_limit import LeakyBucket, TokenBucket
from .replicas import Replicas
from .request_reply import requester, responder
from .retry import (
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    Fixed,
    FullJitter,
    GrpcThrottle,
    Retry,
    RetryBudget,
)
from .retry_topic import reader
from .run import Run
from .saga import Orchestrator, Task
from .sampling import HeadSampler, TailSampler
from .service import Service
from .simulation import Simulation
from .streams import Constant, Exponential, LogNormal, Recorded, Streams, Uniform
from .throttle import AdaptiveThrottle, ConcurrencyLimit
from .trace import Trace
from .trace_context import Context, extract, inject
from .two_phase_commit import Coordinator, Voter

__all__ = [
    "AdaptiveLifo",
    "AdaptiveThrottle",
    "ArgumentError",
    "Bulkhead",
    "CircuitBreaker",
    "Client",
    "ConcurrencyLimit",
    "ConsecutiveFailures",
    "Constant",
    "ConsumerGroup",
    "Context",
    "ControlledDelay",
    "Coordinator",
    "DecorrelatedJitter",
    "EqualJitter",
    "Exponential",
    "ExponentialBackoff",
    "FailureRate",
    "Fifo",
    "Fixed",
    "FullJitter",
    "GrpcThrottle",
    "HeadSampler",
    "Hedge",
    "LeakyBucket",
    "LeastRequest",
    "Lifo",
    "LogNormal",
    "MessageQueue",
    "Orchestrator",
    "OutlierDetector",
    "PartitionedLog",
    "Priority",
    "Recorded",
    "Replicas",
    "Reply",
    "Request",
    "Retry",
    "RetryBudget",
    "RoundRobin",
    "Run",
    "Service",
    "Simulation",
    "Streams",
    "TailSampler",
    "Task",
    "TokenBucket",
    "Trace",
    "TwoChoices",
    "Uniform",
    "Voter",
    "assign",
    "consumer",
    "extract",
    "fate",
    "inject",
    "key_matches",
    "long_consumer",
    "matches",
    "participant",
    "partition_of",
    "reader",
    "requester",
    "responder",
]
