"""The audit trail: what was done, by whom, in chains of hashes that show when somebody touched them.

`entries` writes, `reading` reads, `chain` hashes, `verifying` checks, `exporting` hands out, `retention` lets go.
"""
