"""Recorded answers: what was asked is found again, and answered as it was, in the same time."""
