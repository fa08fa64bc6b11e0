"""The dossier: one file with everything that a verdict rests on, for where no registry is."""
