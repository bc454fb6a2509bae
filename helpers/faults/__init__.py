"""The fault lab: the same requests, answered as before, but through trouble."""

from helpers.faults.outage import Moment, Outage, outage
from helpers.faults.rules import (
    BREAKS,
    FAULTS,
    IN_STREAM,
    ColdStart,
    Fault,
    FixedWindow,
    Ruling,
    ScaledToZero,
    TokenBucket,
    Trouble,
    fault,
)

__all__ = [
    "BREAKS",
    "FAULTS",
    "IN_STREAM",
    "ColdStart",
    "Fault",
    "FixedWindow",
    "Moment",
    "Outage",
    "Ruling",
    "ScaledToZero",
    "TokenBucket",
    "Trouble",
    "fault",
    "outage",
]
