"""Git LFS pointers: written in place of bytes, read in place of a checkout.

A blob's name in the store is its Git LFS object id, so any pointer resolves against a registry.
"""
