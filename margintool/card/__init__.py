"""Dataset cards for pair files: `margintool card`.

Read writing.py first (the public functions); origins.py knows the public datasets,
front_matter.py the hub's YAML, command_line.py how a file's command is written again.
"""
