"""What a browser tab lacks and the course brings: threads, and packages that come late."""


def run_in(context, function, /, *args, **kwargs):
    """Call `function` in `context`, on the thread that asks. In a tab, threads.py puts its own
    here."""
    return context.run(function, *args, **kwargs)
