"""The policies that come with Stemma, as people would write them."""

from __future__ import annotations

# What holds where no policy is named.
BUILTIN = b"""\
# Signed provenance from a clean commit and an ML-BOM that agrees.
format: urn:stemma:policy:v0.1
rules:
  - names: ["**"]
    provenance: {commit: clean}
    bom: {}
"""

# A beginning for one's own: `stemma policy new`.
STARTER = b"""\
# What must be true before something is served. See docs/formats/policy.md.
# Every rule that fits a name and a stage must hold; where none fits, nothing is allowed.
format: urn:stemma:policy:v0.1
stages: [dev, staging, prod]
max_age: 1h          # how old the status (quarantines) may be
stale_ok: false      # nobody may serve on an older one
on_suspect: warn     # deny: also stop on the word of signers who are not believed
rules:
  - names: ["**"]
    provenance: {commit: clean}     # signed, every input with its digest, a clean commit
    bom: {}                         # a CycloneDX ML-BOM that agrees with the files
    ancestors: {assurance: attested}  # the same word for everything upstream
    files:
      without: [pickle, torch-legacy, torch-tar, numpy-object]  # run code when loaded
  # - names: ["models/**"]
  #   stages: [prod]
  #   evidence:
  #     - type: https://in-toto.io/attestation/test-result/v0.1
  #       by: [evaluation]
  #       max_age: 30d
  #   approvals: {count: 2, by: [ada, bob]}
"""
