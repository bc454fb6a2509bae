"""The fault lab: the same requests, answered as before, but through trouble."""

# ruff: noqa: F401 (the lab's names, asked for here)
from helpers.faults.catalog import BREAKS, FAULTS, IN_STREAM, Fault, fault
from helpers.faults.limits import FixedWindow, TokenBucket
from helpers.faults.outage import Moment, Outage, outage
from helpers.faults.rules import ColdStart, Ruling, ScaledToZero, Trouble
