"""What a training run will take, told before weights are loaded. READ plan.py FIRST.

`margintool train --plan` prints it; out_of_memory.py reads it again where memory has run out.
"""
