"""Stemma's ground floor: formats and verification, pure.

Nothing here touches a disk, a network, a clock, the environment or a database.
The time, the status and the lineage a function needs are its arguments.
"""

__version__ = "0.1.0"
