"""Git: objects, pointers, tags and everything else that is read of or written to repositories."""
