"""What is in a pair file: `margintool inspect` (and, for its numbers, `margintool card`).

Read in this order: facts.py (what is reported), scan.py (one streaming pass over the file),
measures.py (numbers to facts), inspecting.py (the public function), then rows.py (facts to words),
text.py and plot.py, which only draw (drawing.py has what pictures share).
"""
