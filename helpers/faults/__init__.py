"""The fault lab: the same requests, answered as before, but through trouble."""

from helpers.faults.catalog import BREAKS, FAULTS, IN_STREAM, Fault, fault
from helpers.faults.limits import FixedWindow, TokenBucket
from helpers.faults.outage import Moment, Outage, outage
from helpers.faults.rules import ColdStart, Ruling, ScaledToZero, Trouble

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
