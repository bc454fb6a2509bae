"""Notebooks in JupyterLab in a real browser: what nbval cannot see, because it never clicks and
never draws."""
