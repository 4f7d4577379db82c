"""One file a command, each with a `COMMAND`; they are found by being here."""
