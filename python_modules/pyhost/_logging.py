"""Takes what modules log to their host. A module may do to its handlers what it likes.

The records are taken where a logger hands them to its handlers. `logging` is not imported here: most
modules need none of it, and it takes longer to import than they take to run.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

# Not typing.TYPE_CHECKING: a host pays for every import that is made here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_level: int | None = None  # of the host's; None while there is none to take anything
_bridged: ModuleType | None = None
_minds_forks = False


def begin(level: int) -> None:
    """From now on, what is at this level or above goes to the host."""
    global _level, _minds_forks
    _level = level
    if not _minds_forks:
        os.register_at_fork(after_in_child=end)  # where the host's thread is not
        _minds_forks = True
    logging = sys.modules.get("logging")
    if logging is None:
        sys.meta_path.insert(0, _Watch)
    elif logging is not _bridged:
        _bridge(logging)


def end() -> None:
    """Lets `logging` do as it does without a host."""
    global _level
    _level = None
    while _Watch in sys.meta_path:
        sys.meta_path.remove(_Watch)


class _Watch:
    """A finder that waits for the import of `logging`."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        if name != "logging":
            return None
        while cls in sys.meta_path:
            sys.meta_path.remove(cls)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec, spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads `logging` as it would be loaded, and takes itself away again."""

    def __init__(self, spec: ModuleSpec, loader: Any) -> None:
        self._spec = spec
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _bridge(module)


def _bridge(logging: Any) -> None:
    global _bridged
    _bridged = logging
    logger_type = logging.Logger
    is_enabled_for, handle = logger_type.isEnabledFor, logger_type.handle
    call_handlers, basic_config = logger_type.callHandlers, logging.basicConfig
    usual = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}

    def wants(logger: Any, level: int) -> bool:
        """The host's level stands in for the root's; those that were set on other loggers hold."""
        if _level is None or level < _level or logger.manager.disable >= level:
            return False
        while logger is not None and logger is not logging.root:
            if logger.level:
                return bool(level >= logger.level)
            logger = logger.parent
        return True

    def take(record: Any) -> None:
        try:
            message = record.getMessage()
        except Exception as error:
            message = f"{record.msg} (its arguments do not fit: {error!r})"
        extra = {str(k): v for k, v in record.__dict__.items() if k not in usual}
        if record.stack_info:
            extra["stack_info"] = record.stack_info
        exception = record.exc_info[1] if record.exc_info else None
        sys.modules["_pyhost"].take_log_record(
            record.levelno, str(record.name), message, record.created, str(record.pathname),
            record.lineno, str(record.funcName or ""), extra, exception,
        )  # fmt: skip

    def take_or_tell(record: Any) -> None:
        try:
            take(record)
        except Exception:  # as logging does with what goes wrong in a handler
            logging.NullHandler().handleError(record)

    def bridged_is_enabled_for(self: Any, level: int) -> bool:
        return wants(self, level) or bool(is_enabled_for(self, level))

    def bridged_handle(self: Any, record: Any) -> None:
        if _level is None or not self.disabled:
            return handle(self, record)  # type: ignore[no-any-return]
        # dictConfig disables each logger that it does not name, also those of other modules.
        kept = wants(self, record.levelno) and self.filter(record)
        if kept:
            take_or_tell(kept if isinstance(kept, logging.LogRecord) else record)

    def bridged_call_handlers(self: Any, record: Any) -> None:
        if _level is not None:
            if wants(self, record.levelno):
                take_or_tell(record)
            # Without handlers Python would write to stderr: here the host is the last resort.
            if not self.hasHandlers() or not is_enabled_for(self, record.levelno):
                return
        call_handlers(self, record)

    def bridged_basic_config(**asked: Any) -> None:
        """With a host that takes the logs, the same lines are not written to the console once more."""
        to_console = asked.get("stream") in (None, sys.stdout, sys.stderr)
        if (
            _level is None
            or not to_console
            or any(map(asked.get, ("filename", "handlers", "force")))
        ):
            basic_config(**asked)

    logger_type.isEnabledFor = bridged_is_enabled_for
    logger_type.handle = bridged_handle
    logger_type.callHandlers = bridged_call_handlers
    logging.basicConfig = bridged_basic_config
