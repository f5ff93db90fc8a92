"""The commands, one file each, found by name: a folder is a group of the help, a file a command.

A command's module has ``HELP`` (what it does, in a line), ``EXAMPLES`` (of this command), ``arguments(parser)`` and
``run(given) -> int``, the exit code. Whatever is heavy is imported inside of ``run``.
"""
