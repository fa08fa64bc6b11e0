"""Policy, trust root and requests that are reviewed in a Git repository, taken from a commit."""
