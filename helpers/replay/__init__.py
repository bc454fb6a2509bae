"""Recorded answers: what was asked is found again, and answered as it was, in the same time.

    recording.py    one notebook's recording: what a request means, its next answer, and what a
                    request is told that nobody recorded
    storage.py      the file: read it, also when it is damaged; write it whole or not at all
    recorder.py     how it is made (`make record`)
    cost.py         what its calls would cost on the real service, for the banner

A recorded answer is a Plan (helpers.wire); session.py asks for it, and the wire plays it.
"""
