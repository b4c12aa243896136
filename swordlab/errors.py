"""The two ways in which a command can end badly, each with its exit status."""


class LabError(Exception):
    """The lab, an engine or the machine is not as it must be: exit status 2.

    `message` says what was expected and what was seen; `hint` says what to do next.
    """

    status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  What to do: {self.hint}" if self.hint else "")


class UsageError(LabError):
    """What was typed or written (a command, a compose file) is not understood: exit status 1."""

    status = 1
