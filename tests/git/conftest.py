from tests.git.repositories import checkout

__all__ = ["checkout"]
