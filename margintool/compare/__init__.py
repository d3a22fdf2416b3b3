"""How well margin estimators agree on the same pairs: `margintool compare`.

Read in this order: facts.py (what is reported), reading.py (one streaming pass over a file),
joining.py (the pairs of two files), measures.py (numbers of joined pairs), intervals.py (their
bootstrap), comparing.py (the public function), then text.py and plot.py, which only draw.
"""
