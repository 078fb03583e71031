"""What the program does, as functions: whatever the command line can do, a caller of these modules can do too.

`session` opens a policies repository and validates it, `planning` plans, `applying` applies, `watching` tells what is
so and what was done.
"""
