"""The command line: it parses, calls one function of the library, and prints.

`main` holds what every command shares: errors to messages and exit codes. Each command is one file in
`commands/`.
"""
