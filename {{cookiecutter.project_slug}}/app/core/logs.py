"""Log records in which a client's text cannot forge lines."""

import logging
from typing import Any


def configure_logging() -> None:
    """Configure the app's own log, and make every handler of the process escape its texts.

    Servers configure only their own loggers. Repeating the call changes nothing.
    """
    logging.basicConfig(format="%(levelname)s:     %(name)s: %(message)s")
    logging.setLogRecordFactory(EscapedRecord)


class EscapedRecord(logging.LogRecord):
    """A log record whose texts are escaped before any handler or formatter sees them.

    Characters that are not printable are escaped: line breaks, sequences for terminals, characters
    that hide or reorder text. The message's template is kept as the developer wrote it. A message
    without arguments, such as a server's traceback, keeps its line breaks: every line but the first
    is indented, and so is every line of an exception.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.args, tuple):  # formatters read them too: Uvicorn's, for requests
            self.args = tuple(escape(arg) if isinstance(arg, str) else arg for arg in self.args)
        if self.exc_info and self.exc_info[0]:
            # Formatters print this text rather than formatting the exception themselves.
            text = logging.Formatter().formatException(self.exc_info)
            self.exc_text = "    " + _indented(escape(text, keep="\n"))

    def getMessage(self) -> str:  # noqa: N802 (the name of the standard library)
        keep = str(self.msg) if self.args else "\n"
        return _indented(escape(super().getMessage().rstrip("\n"), keep))


def escape(text: str, keep: str = "") -> str:
    r"""Write characters that are not printable as in Python, such as `\n`, except those to keep."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode()
        for character in text
    )


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
