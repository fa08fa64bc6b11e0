"""Whom this machine believes: the trust root's file, where it comes from, and Sigstore's roots."""
