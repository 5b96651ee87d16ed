"""Passes the log records of modules to their host, whatever a module does to its handlers.

The records are taken where a logger passes them to its handlers. This file does not import `logging`: most modules do
not need it, and importing it takes longer than they take to run.
"""

from __future__ import annotations

import os
import sys

# typing is not imported, because each import here delays the start of a host.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_level: int | None = None  # the host's level; None if no host takes records
_take: Callable[..., None]  # the host's function
_bridged: list[Any] = []  # the Logger class of each `logging` that was imported
_handles_forks = False
_largest_int = 2**31 - 1


def begin(level: int) -> None:
    """Starts passing records of this level and above to the host."""
    global _level, _handles_forks, _take
    _level = level
    _take = sys.modules["_pyhost"].take_log_record
    if not _handles_forks:
        os.register_at_fork(after_in_child=end)  # the host's thread does not exist there
        _handles_forks = True
    if _Watch not in sys.meta_path:
        sys.meta_path.insert(0, _Watch)
    _bridge(sys.modules.get("logging"))


def end() -> None:
    """Stops passing records, so `logging` behaves as it does without a host."""
    global _level
    _level = None
    while _Watch in sys.meta_path:
        sys.meta_path.remove(_Watch)


class _Watch:
    """A finder that waits for the import of `logging`, which may be imported again later."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        if name != "logging":
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find and finder is not cls else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec, spec.loader)
                return spec
        return None


class _Loader:
    """Loads `logging` with its own loader, and then removes itself."""

    def __init__(self, spec: ModuleSpec, loader: Any) -> None:
        self._spec = spec
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _bridge(module)


def _words(value: Any, by: Any = str) -> str:
    """Returns the str or repr of a value, even if its code raises."""
    try:
        return str(by(value))
    except Exception:
        return f"<{type(value).__name__} whose {by.__name__} fails>"


def _number(value: Any, otherwise: int) -> int:
    try:
        return max(-_largest_int, min(int(value), _largest_int))
    except Exception:
        return otherwise


def _exception_of(exc_info: Any) -> BaseException | None:
    found = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) > 1 else exc_info
    return found if isinstance(found, BaseException) else None


def _message_of(record: Any) -> str:
    try:
        return _words(record.getMessage())
    except Exception as error:
        message = _words(record.msg)
        if record.args:
            message += f" (its arguments do not fit: {_words(error, repr)})"
        return message


def _bridge(logging: Any) -> None:
    logger_type = getattr(logging, "Logger", None)
    if logger_type is None or any(logger_type is known for known in _bridged):
        return
    _bridged.append(logger_type)
    root = logging.root
    is_enabled_for, handle = logger_type.isEnabledFor, logger_type.handle
    make_record, call_handlers = logger_type.makeRecord, logger_type.callHandlers
    basic_config = logging.basicConfig
    # makeLogRecord would call a record factory that a module may have set.
    usual = {*vars(logging.LogRecord("", 0, "", 0, "", (), None))}
    usual |= {"message", "asctime", "taskName", "is_for_host_alone"}

    def wants(logger: Any, level: int) -> bool:
        """Returns whether the host wants the record. Its level replaces that of the root logger; the levels of others apply."""
        if _level is None or level < _level or logger.manager.disable >= level:
            return False
        while logger is not None and logger is not root:
            if logger.level:
                return bool(level >= logger.level)
            logger = logger.parent
        return True

    def take(record: Any) -> None:
        extra = {_words(k): v for k, v in record.__dict__.items() if k not in usual}
        if record.stack_info:
            extra["stack_info"] = record.stack_info
        exception = _exception_of(record.exc_info)
        if record.exc_info and exception is None and record.exc_info != (None, None, None):
            extra["exc_info"] = record.exc_info  # of any type
        try:
            created = float(record.created)
        except Exception:
            created = -1.0  # the host then uses the current time
        _take(
            _number(record.levelno, logging.WARNING), _words(record.name), _message_of(record),
            created, _words(record.pathname), _number(record.lineno, 0),
            _words(record.funcName or ""), extra, exception,
        )  # fmt: skip

    def take_or_report(record: Any) -> None:
        try:
            take(record)
        except Exception:  # as logging does if a handler fails
            logging.NullHandler().handleError(record)

    def bridged_is_enabled_for(self: Any, level: int) -> bool:
        return wants(self, level) or bool(is_enabled_for(self, level))

    def bridged_make_record(self: Any, *given: Any, **named: Any) -> Any:
        record = make_record(self, *given, **named)
        if _level is not None and not is_enabled_for(self, record.levelno):
            record.is_for_host_alone = True
        return record

    def bridged_handle(self: Any, record: Any) -> None:
        if _level is None or not self.disabled:
            return handle(self, record)  # type: ignore[no-any-return]
        # dictConfig disables every logger that it does not name, including those of other modules.
        kept = wants(self, _number(record.levelno, logging.WARNING)) and self.filter(record)
        if kept:
            take_or_report(kept if isinstance(kept, logging.LogRecord) else record)

    def bridged_call_handlers(self: Any, record: Any) -> None:
        if _level is not None:
            level = _number(record.levelno, logging.WARNING)
            if not isinstance(record.levelno, (int, float)):
                record.levelno = level  # otherwise each handler would raise, and end the run
            if wants(self, level):
                take_or_report(record)
            # Without handlers, Python would write to stderr. Here the record goes only to the host.
            if not self.hasHandlers() or getattr(record, "is_for_host_alone", False):
                return
        call_handlers(self, record)

    class Quiet(logging.StreamHandler):  # type: ignore[misc]
        """A console handler that writes nothing while a host takes the records."""

        def emit(self, record: Any) -> None:
            if _level is None:
                super().emit(record)

    def bridged_basic_config(**asked: Any) -> None:
        """If a host takes the records, does not also write them to the console."""
        to_console = asked.get("stream") in (None, sys.stdout, sys.stderr)
        if (
            _level is None
            or not to_console
            or any(map(asked.get, ("filename", "handlers", "force")))
        ):
            return basic_config(**asked)  # type: ignore[no-any-return]
        before = list(root.handlers)
        basic_config(**asked)
        for handler in root.handlers:
            if handler not in before and type(handler) is logging.StreamHandler:
                handler.__class__ = Quiet

    logger_type.isEnabledFor = bridged_is_enabled_for
    logger_type.makeRecord = bridged_make_record
    logger_type.handle = bridged_handle
    logger_type.callHandlers = bridged_call_handlers
    logging.basicConfig = bridged_basic_config
