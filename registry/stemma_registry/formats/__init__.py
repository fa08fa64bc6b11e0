"""What files are, by their bytes: formats, and what in them would run or break a reader.

Nothing here unpickles, imports or executes anything. `scan` looks at trees, `detecting`
tells a format, `report` is what comes out. See docs/formats/format-scan.md.
"""
