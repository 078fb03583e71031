"""What the published servers lack: conditions a request can be made under, so that it happens once, to what was read.

`changing.py` is the way in for every handler that mutates a policy; the others are one word each.
"""
