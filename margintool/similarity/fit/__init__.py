"""A similarity model fitted to known margins: `margintool similarity fit`. fitting.py first."""
