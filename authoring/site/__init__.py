"""`make site`: the whole course as a static JupyterLite site, where Python itself runs in the
browser tab.

wheels.py         which wheels the tab needs: pinned in locks/site.txt, fetched by hash
distribution.py   Pyodide with those wheels beside it, and the lock file that names them
__main__.py       the site around it: `python -m authoring.site`
"""
