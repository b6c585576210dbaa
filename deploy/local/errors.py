"""What can go wrong with the local stack, as one line that says what to do."""


class StackError(RuntimeError):
    """The stack cannot start or continue; the message is one line for a person."""
