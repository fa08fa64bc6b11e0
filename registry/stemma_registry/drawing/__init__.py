"""Answers drawn for others: rows and documents, graphs for other programs, BOMs, and a page."""
