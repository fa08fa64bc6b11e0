"""A Sigstore instance of our own for tests: OIDC, Fulcio with CT, Rekor v1 and v2, and a TSA.

Loopback only, and real cryptography: every service checks what it is handed
before it signs anything. `stack.LocalSigstore` starts it.
"""
