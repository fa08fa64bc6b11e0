"""Evidence about Git commits: taken in, held against a policy, and written out as notes."""
