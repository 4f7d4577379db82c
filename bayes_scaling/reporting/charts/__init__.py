"""Charts from plain numbers, for any section to use. Nothing is estimated here."""
