"""Interplay: a simulated shop of services, small enough to read in an evening.

Each pattern of the course is one file here. A run is recorded as a trace; figures and the player
read the trace.
"""

from .arguments import ArgumentError
from .call import Reply, Request
from .client import Client
from .queueing import AdaptiveLifo, ControlledDelay, Fifo, Lifo, Priority
from .replicas import Replicas
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
from .run import Run
from .service import Service
from .simulation import Simulation
from .streams import Constant, Exponential, LogNormal, Streams, Uniform
from .trace import Trace

__all__ = [
    "AdaptiveLifo",
    "ArgumentError",
    "Client",
    "Constant",
    "ControlledDelay",
    "DecorrelatedJitter",
    "EqualJitter",
    "Exponential",
    "ExponentialBackoff",
    "Fifo",
    "Fixed",
    "FullJitter",
    "GrpcThrottle",
    "Lifo",
    "LogNormal",
    "Priority",
    "Replicas",
    "Reply",
    "Request",
    "Retry",
    "RetryBudget",
    "Run",
    "Service",
    "Simulation",
    "Streams",
    "Trace",
    "Uniform",
]
