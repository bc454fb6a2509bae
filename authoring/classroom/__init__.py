"""One token for a class: learners ask this server, and it asks the service, no faster than the
service allows.

    make class                                              for learners on this machine
    make class ARGS="--host 192.168.1.10 --classroom 192.168.1.0/24"
    COURSE_MODE=practice COURSE_PRACTICE_URL=http://192.168.1.10:8760      what learners set

The token stays on this machine: learners never send or see one. What several learners ask alike is
asked once. Everything else waits in one line, the course's own RetryPolicy, of which nobody can
take more than a few places.

    rules.py    which requests go on, with which credentials, and which answers may be kept
    kept.py     answers: arriving, kept, and handed to everybody who asked the same
    app.py      the server
"""
