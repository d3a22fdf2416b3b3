"""One HTML page that shows what came of runs and evaluations, or what is in a pair file.

Read in this order: views.py (what a page is made of), writing.py (the public functions),
folders.py (what is read), then data.py, runs.py, curves.py, evaluations.py and examples.py, which
make sections of it; render.py and page.html.jinja make HTML of those.
"""
