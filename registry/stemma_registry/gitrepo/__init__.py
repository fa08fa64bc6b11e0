"""Git repositories: what a job runs from, and what commits, tags and trees say.

Whoever wrote a repository may be hostile. What is read here runs nothing that it
configures, and everything that Git hands over is held against its id.
"""
