"""Checks from the syntax tree of a module whether it fulfils the contract. No code of the module runs.

A finding is an error only if it is certain to fail. If the tree does not show the value of a name, the finding is a
note, create-unseen or run-unseen. Columns are in bytes of UTF-8, as in ast.
"""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional, Union

from pyhost import _contract_rules as rules
from pyhost._report import Finding

_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LITERALS = (
    *(ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
# Base classes that are known, by name, to have no run.
_PLAIN_BASES = {"object", "ABC", "Generic"}
# Names that can bind other names without a statement that shows it.
_REACHES_AROUND = {"globals", "locals", "vars", "exec", "eval", "setattr", "__dict__"}

_RUN_UNSEEN = "it is unknown whether the object that create returns has a run"


class ContractCheck(NamedTuple):
    findings: list[Finding]
    # The class of the object that create returns, if it is defined in the module.
    class_name: Optional[str]


def check_contract(tree: ast.Module, needs_create: bool) -> ContractCheck:
    """Returns what is wrong with the module. A helper does not need a create."""
    return _Checker(tree).module(needs_create)


class _Scope:
    """The names that the statements of one body bind, each with all its possible values."""

    def __init__(self, body: list[ast.stmt]) -> None:
        self.bound: dict[str, list[ast.AST]] = {}
        self.open = False  # names may also be bound elsewhere
        self._read(body, True)
        self.open = self.open or "__getattr__" in self.bound

    def only(self, name: str) -> Optional[ast.AST]:
        found = self.bound.get(name, ())
        return found[0] if len(found) == 1 else None

    def _bind(self, name: str, value: ast.AST, certain: bool) -> None:
        if certain:
            self.bound[name] = [value]
        else:
            self.bound.setdefault(name, []).append(value)

    def _bind_target(self, target: ast.AST, value: ast.AST, certain: bool) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, value, certain)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._bind_target(each, target, certain)  # the assigned part is not determined
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, target, certain)

    def _read(self, body: list[ast.stmt], certain: bool) -> None:
        for statement in body:
            if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
                self._bind(statement.name, statement, certain)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    self._bind_target(target, statement.value, certain)
            elif isinstance(statement, ast.AnnAssign):
                if statement.value is not None:
                    self._bind_target(statement.target, statement.value, certain)
            elif isinstance(statement, ast.AugAssign):
                self._bind_target(statement.target, statement, certain)
            elif isinstance(statement, (ast.Import, ast.ImportFrom)):
                self._read_import(statement, certain)
            elif isinstance(statement, ast.Delete):
                for target in statement.targets:
                    if isinstance(target, ast.Name) and certain:
                        self.bound.pop(target.id, None)
            else:
                self._read_block(statement, certain)

    def _read_import(self, statement: Union[ast.Import, ast.ImportFrom], certain: bool) -> None:
        for alias in statement.names:
            if alias.name == "*":
                self.open = True
            else:
                self._bind(alias.asname or alias.name.partition(".")[0], statement, certain)

    def _read_block(self, statement: ast.stmt, certain: bool) -> None:
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                if item.optional_vars is not None:
                    self._bind_target(item.optional_vars, item, certain)
            return self._read(statement.body, certain)
        if isinstance(statement, (ast.For, ast.AsyncFor)):
            self._bind_target(statement.target, statement, False)
        if isinstance(statement, ast.If) and _never_in_an_import(statement.test):
            return self._read(statement.orelse, certain)
        for part in ("body", "orelse"):
            self._read(getattr(statement, part, []), False)
        for branch in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            self._read(branch.body, False)
        self._read(getattr(statement, "finalbody", []), certain)


def _never_in_an_import(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        return test.left.id == "__name__" and isinstance(test.ops[0], ast.Eq)
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


class _Checker:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.scope = _Scope(tree.body)
        self.class_name: Optional[str] = None

    def module(self, needs_create: bool) -> ContractCheck:
        candidates = self.scope.bound.get("create", [])
        if not candidates:
            return ContractCheck(self._without_create() if needs_create else [], None)
        findings: list[Finding] = []
        for candidate in candidates:
            findings += self.create(candidate)
        if findings and len(candidates) > 1:
            message = "create is defined in more than one way, and it is unknown which one is used"
            return ContractCheck(_one(candidates[0], "create-unseen", message), None)
        return ContractCheck(findings, self.class_name)

    def _without_create(self) -> list[Finding]:
        if self.scope.open or self._is_set_elsewhere("create"):
            message = "there is no create in this file, but it may be defined elsewhere"
            return [Finding(1, 0, "create-unseen", message)]
        return [Finding(1, 0, "no-create", rules.NO_CREATE)]

    def create(self, node: ast.AST) -> list[Finding]:
        value = self._resolve(node)
        if isinstance(value, ast.AsyncFunctionDef):
            return _one(value, "async-create", rules.ASYNC_CREATE)
        if isinstance(value, ast.FunctionDef) and value.decorator_list:
            message = "it is unknown what the decorator of create returns"
            return _one(value, "create-unseen", message)
        if isinstance(value, (ast.FunctionDef, ast.Lambda)):
            misfit = _misfit(value.args, 1)
            if misfit:
                message = rules.cannot_be_called("create", f"create {misfit}")
                return _one(value, "create-arguments", message)
            if isinstance(value, ast.Lambda):
                return self._returned(value.body, _names(value.args), _Scope([]))
            return self._returned_by(value)
        if isinstance(value, ast.ClassDef):
            return self._class_as_create(value)
        if isinstance(value, _LITERALS):
            message = rules.not_callable("create", _type(value))
            return _one(value, "create-not-callable", message)
        return _one(node, "create-unseen", "it is unknown what create is")

    def _resolve(self, node: ast.AST, local: Optional[_Scope] = None) -> ast.AST:
        """Returns the value of a name, as far as the tree shows it."""
        for _ in range(10):
            if not isinstance(node, ast.Name):
                break
            found = local.only(node.id) if local else None
            found = found or self.scope.only(node.id)
            if found is None:
                break
            node = found
        return node

    # The result of create

    def _returned_by(self, function: ast.FunctionDef) -> list[Finding]:
        own = list(_own_nodes(function.body))
        if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own):
            return _one(function, "no-run", rules.CREATE_YIELDS)
        returns = [node for node in own if isinstance(node, ast.Return)]
        values = [node.value for node in returns if node.value and not _is_none(node.value)]
        if not values:
            if not returns and not _falls_off(function.body):
                return []  # it always raises, which only a run shows
            at = returns[0] if returns else function
            return _one(at, "no-run", rules.no_run("None"))
        local = _Scope(function.body)
        return _of_all([self._returned(each, _names(function.args), local) for each in values])

    def _returned(self, value: ast.expr, parameters: set[str], local: _Scope) -> list[Finding]:
        if isinstance(value, ast.IfExp):
            branches = (value.body, value.orelse)
            return _of_all([self._returned(each, parameters, local) for each in branches])
        if isinstance(value, _LITERALS):
            return _one(value, "no-run", rules.no_run(_type(value)))
        unseen = _one(value, "run-unseen", _RUN_UNSEEN)
        made = self._resolve(value, local) if isinstance(value, ast.Name) else value
        if not isinstance(made, ast.Call) or not isinstance(made.func, ast.Name):
            return unseen
        name = made.func.id
        cls = self._resolve(made.func, local)
        if name in parameters or not isinstance(cls, ast.ClassDef):
            return unseen
        findings = self._run_of(cls)
        if made is not value:  # a run may have been added to the object
            return unseen if findings else []
        if name in self.scope.bound and name not in local.bound:
            self.class_name = cls.name
        return findings

    # Classes

    def _class_as_create(self, cls: ast.ClassDef) -> list[Finding]:
        unseen = _one(cls, "create-unseen", "it is unknown which arguments the class takes")
        if cls.decorator_list or cls.keywords:
            return unseen
        self.class_name = cls.name
        classes, all_seen = self._with_bases(cls)
        for each in classes:
            bound = _Scope(each.body).bound
            candidates = bound.get("__init__") or bound.get("__new__")
            if not candidates:
                continue
            made = candidates[0]
            if not isinstance(made, ast.FunctionDef) or made.decorator_list or candidates[1:]:
                return self._run_of(cls) or unseen
            misfit = _misfit(made.args, 2)
            if misfit and (all_seen or each is cls):
                message = rules.cannot_be_called("create", f"{made.name} {misfit}")
                return _one(made, "create-arguments", message)
            return self._run_of(cls)
        if all_seen:
            message = rules.cannot_be_called("create", f"{cls.name}() takes no argument")
            return _one(cls, "create-arguments", message)
        return self._run_of(cls) or unseen

    def _with_bases(self, cls: ast.ClassDef) -> tuple[list[ast.ClassDef], bool]:
        """Returns the class and its bases in this file, and whether these are all of its bases."""
        classes, all_seen = [cls], True
        for at in classes:  # the loop appends to this list
            for base in at.bases:
                if isinstance(base, ast.Subscript):
                    base = base.value
                found = self._resolve(base)
                if isinstance(found, ast.ClassDef):
                    if found not in classes and len(classes) < 100:
                        classes.append(found)
                elif getattr(base, "attr", getattr(base, "id", None)) not in _PLAIN_BASES:
                    all_seen = False
        return classes, all_seen

    def _run_of(self, cls: ast.ClassDef) -> list[Finding]:
        classes, all_seen = self._with_bases(cls)
        unseen = _one(cls, "run-unseen", f"it is unknown whether class {cls.name} has a run")
        for each in classes:
            scope = _Scope(each.body)
            candidates = scope.bound.get("run", [])
            findings = [finding for node in candidates for finding in self._run(node, scope)]
            if candidates:
                certain = len(candidates) == 1 and (each is cls or all_seen)
                return findings if certain or not findings else unseen
            odd = scope.open or "__getattribute__" in scope.bound
            if odd or each.decorator_list or each.keywords:
                all_seen = False
        if not all_seen or self._is_set_elsewhere("run"):
            return unseen
        return _one(cls, "no-run", rules.class_without_run(cls.name))

    def _run(self, node: ast.AST, scope: _Scope) -> list[Finding]:
        value = self._resolve(node, scope)
        given = 1
        for decorator in getattr(value, "decorator_list", []):
            name = getattr(decorator, "id", None)
            if name not in ("staticmethod", "classmethod", "override"):
                message = "it is unknown what the decorator of run returns"
                return _one(value, "run-unseen", message)
            given = 0 if name == "staticmethod" else given
        if isinstance(value, (*_FUNCTIONS, ast.Lambda)):
            misfit = _misfit(value.args, given)
            if misfit:
                return _one(value, "run-arguments", rules.cannot_be_called("run", f"run {misfit}"))
            return []
        if isinstance(value, _LITERALS):
            message = rules.not_callable("run", _type(value))
            return _one(value, "run-not-callable", message)
        return _one(node, "run-unseen", "it is unknown what run is")

    def _is_set_elsewhere(self, name: str) -> bool:
        """Returns whether code in the file could set this name after all. Called only if it was not found."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id in _REACHES_AROUND:
                return True
            if isinstance(node, ast.Attribute) and (
                node.attr in _REACHES_AROUND
                or (node.attr == name and isinstance(node.ctx, ast.Store))
            ):
                return True
            if isinstance(node, ast.Global) and name in node.names:
                return True
            if isinstance(node, ast.NamedExpr) and node.target.id == name:
                return True
        return False


def _one(node: ast.AST, code: str, message: str) -> list[Finding]:
    return [Finding(getattr(node, "lineno", 1), getattr(node, "col_offset", 0), code, message)]


def _of_all(outcomes: list[list[Finding]]) -> list[Finding]:
    """Returns what is wrong with alternatives. The result is certain only if all of them are wrong."""
    findings = list(dict.fromkeys(finding for outcome in outcomes for finding in outcome))
    wrong = [any(each.code != "run-unseen" for each in outcome) for outcome in outcomes]
    if all(wrong) or not findings:
        return findings
    first = findings[0]
    return [Finding(first.line, first.column, "run-unseen", _RUN_UNSEEN)]


def _names(arguments: ast.arguments) -> set[str]:
    return {node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)}


def _misfit(arguments: ast.arguments, given: int) -> Optional[str]:
    """Returns why a call with `given` positional arguments, including self, would fail. None if it would not."""
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    if len(required) > given:
        return "needs more arguments: " + ", ".join(f"'{each.arg}'" for each in required[given:])
    if len(positional) < given and arguments.vararg is None:
        return f"takes only '{positional[0].arg}'" if positional else "takes no argument"
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        if default is None:
            return f"needs '{each.arg}' by keyword"
    return None


def _own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yields all nodes of a function's body, except those of nested functions and classes."""
    stack = list(body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))


def _falls_off(body: list[ast.stmt]) -> bool:
    """Returns whether the end of the body can be reached."""
    last = body[-1]
    if isinstance(last, (ast.Raise, ast.Return)):
        return False
    if isinstance(last, ast.If):
        return not last.orelse or _falls_off(last.body) or _falls_off(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return _falls_off(last.body)
    # An endless loop, a try that always raises, and a call that never returns do not reach the end either. Loops and
    # tries are assumed not to reach it. Such a call cannot be recognized.
    return not isinstance(last, (ast.While, ast.Try))


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _type(literal: ast.AST) -> str:
    if isinstance(literal, ast.Constant):
        return "None" if literal.value is None else type(literal.value).__name__
    names = {"JoinedStr": "str", "ListComp": "list", "SetComp": "set", "DictComp": "dict"}
    name = type(literal).__name__
    return names.get(name, "generator" if name == "GeneratorExp" else name.lower())
