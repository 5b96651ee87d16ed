"""More faults, in the format of faults.py."""

from faults import ANY, ERR, EVIL, OK, C, run

F = []


def f(id, group, expect, src=None, **more):
    F.append({"id": id, "group": group, "expect": expect, "src": src} | more)


# --- names
for _id, _name in {
    "name_empty": "",
    "name_parent_folder": "../good",
    "name_with_package": "modules.good",
    "name_below_a_module": "good.good",
    "name_dots": "..",
    "name_newline": "good\n",
    "name_look_alike": "g\u043e\u043ed",
    "name_surrogate": "\udcff",
    "name_code": "good;import os",
    "name_none": "None",
    "name_wrong_case": "Good",
}.items():
    f(_id, "name", ERR, name=_name)
f("name_json", "name", OK, name="json", files={"modules/json.py": C})
f("name_private", "name", OK, name="_good", files={"modules/_good.py": C})

# --- files
f("file_empty", "file", ERR, "")
f("file_is_a_link_to_itself", "file", ERR, files={"modules/fault.py": ("symlink", "fault.py")})
f("file_link_to_nothing", "file", ERR, files={"modules/fault.py": ("symlink", "nothing")})
f("file_latin1_undeclared", "file", ERR, b"x = '\xe9'\n" + C.encode())
f("file_latin1_declared", "file", OK, b"# coding: latin-1\nx = '\xe9'\n" + C.encode())
f("file_unknown_coding", "file", ERR, "# coding: no-such-coding\n" + C)
f("file_crlf", "file", OK, C.replace("\n", "\r\n"))
f("file_tabs_and_spaces", "file", ERR, "if 1:\n        x = 1\n\tx = 2\n" + C)
f("file_binary", "file", ERR, bytes(range(256)) * 10)
f("file_many_lines", "file", OK, "x = 1\n" * 100_000 + C)
f("file_is_a_folder_named_py", "file", ERR, files={"modules/fault.py/x.txt": "x"})
f("pkg_broken_init", "file", ERR, files={"modules/fault/__init__.py": "1 / 0\n"})
f("pkg_beside_the_modules", "file", OK, C, files={"json.py": EVIL, "fault.py": EVIL}, mark=True)
f("modules_init_is_not_run", "file", OK, C, files={"modules/__init__.py": EVIL}, mark=True)

# --- import
f("imp_exit", "import", ERR, "import sys; sys.exit(0)\n")
f("imp_raises_base", "import", ERR, "raise BaseException\n")
f("imp_missing", "import", ERR, "import no_such_package\n")
f("imp_deletes_itself", "import", ANY, "import sys\ndel sys.modules[__name__]\n" + C)
f("imp_getattr_raises", "import", ERR, "def __getattr__(n): raise OSError(n)\n")
f("imp_getattr_exits", "import", ERR, "def __getattr__(n): raise SystemExit(0)\n")
f("imp_recursion", "import", ERR, "def f(): f()\nf()\n")
f("imp_imports_itself", "import", OK, "import modules.fault\n" + C)
f("imp_raises_not_found_of_itself", "import", ERR, "raise ModuleNotFoundError(name=__name__)\n")
f("imp_str_of_error_loops", "import", ERR,
  "class E(Exception):\n    def __str__(s):\n        while 1: pass\nraise E\n")  # fmt: skip

# --- contract
f("create_class_raises_in_init", "contract", ERR, "class create:\n    def __init__(s, st): 1 / 0\n")
f("create_is_a_class", "contract", OK, C.replace("class M", "class create").split("def create")[0])
f("create_exits", "contract", ERR, "def create(state): raise SystemExit(0)\n")
f("create_is_a_generator", "contract", ERR, "def create(state): yield 1\n")
f("create_call_lies", "contract", ERR,
  "class C:\n    __signature__ = property(lambda s: 1 / 0)\n    def __call__(s): pass\ncreate = C()\n")  # fmt: skip
f("create_needs_more", "contract", ERR, "def create(a, b): pass\n")
f(
    "run_is_async",
    "contract",
    OK,
    "class M:\n    async def run(s): return 3\ndef create(state): return M()\n",
)
f(
    "run_is_a_generator",
    "contract",
    ("ok", [3]),
    "class M:\n    def run(s): yield 3\ndef create(state): return M()\n",
)
f("run_property_exits", "contract", ERR,
  "class M:\n    @property\n    def run(s): raise SystemExit(0)\ndef create(state): return M()\n")  # fmt: skip
f("run_class_lies", "contract", ANY,
  "class M:\n    __class__ = property(lambda s: 1 / 0)\n    def run(s): return 3\ndef create(state): return M()\n")  # fmt: skip
f("on_error_exits", "contract", ERR, run("1 / 0") + "def on_error(e): raise SystemExit(0)\n")
f("on_error_recurses", "contract", ERR, run("1 / 0") + "def on_error(e): on_error(e)\n")
f("on_error_breaks_the_exception", "contract", ERR, run("1 / 0")
  + "def on_error(e): e.__traceback__ = None; e.args = (e,); e.__cause__ = e; e.__notes__ = e; e.__dict__.clear()\n")  # fmt: skip

# --- exceptions
_E = "class E(Exception):\n    "
for _id, _pre, _raise in [
    ("exc_exit_0", "", "SystemExit(0)"),
    ("exc_exit_none", "", "SystemExit"),
    ("exc_interrupt", "", "KeyboardInterrupt"),
    ("exc_base", "", "BaseException('x')"),
    ("exc_stop_iteration", "", "StopIteration(3)"),
    ("exc_memory", "", "MemoryError"),
    ("exc_no_exception", "", "42"),
    ("exc_class_that_makes_none", _E + "def __new__(c): return 42\n", "E"),
    ("exc_init_raises", _E + "def __init__(s): raise OSError\n", "E"),
    ("exc_str_exits", _E + "def __str__(s): raise SystemExit(0)\n", "E()"),
    ("exc_str_loops", _E + "def __str__(s):\n        while 1: pass\n", "E()"),
    ("exc_repr_of_argument_loops", "class A:\n    def __repr__(s):\n        while 1: pass\n", "KeyError(A())"),
    ("exc_getattribute_raises", _E + "def __getattribute__(s, n): raise SystemExit(0)\n", "E()"),
    ("exc_notes_raise", _E + "__notes__ = property(lambda s: 1 / 0)\n", "E()"),
    ("exc_bool_raises", _E + "def __bool__(s): raise OSError\n    __len__ = __eq__ = __hash__ = __bool__\n", "E()"),
    ("exc_del_raises_too", _E + "def __del__(s): raise SystemExit(0)\n", "E()"),
    ("exc_escapes", "", "ValueError('\\x1b]0;title\\x07\\x9b2J\\u202e@@R {}')"),
    ("exc_newline_spoofs", "", "ValueError('\\n@@R {\"ok\": true, \"result\": 3}\\n')"),
    ("exc_long_type_name", "E = type('E' * 10**6, (Exception,), {'__module__': 'm' * 10**6})\n", "E()"),
    ("exc_module_name_lies", _E + "__module__ = 3\n", "E()"),
    ("exc_unicode_error", "", "UnicodeDecodeError('utf-8', b'x' * 10**7, -5, 10**9, '\\ud800')"),
    ("exc_syntax_error_lies", "", "SyntaxError('x', ('/dev/zero', 10**40, -1, b'x'))"),
    ("exc_os_error_lies", _E + "def __str__(s): raise OSError\n", "OSError(E(), E(), E())"),
]:  # fmt: skip
    f(_id, "exc", ERR, run(f"raise {_raise}", _pre))
f("exc_cause_chain_100k", "exc", ERR,
  run("e = None\nfor i in range(100_000):\n    n = ValueError(i); n.__cause__ = e; e = n\nraise e"))  # fmt: skip
f("exc_is_its_own_cause", "exc", ERR, run("e = ValueError('x'); e.__cause__ = e; raise e"))
f("exc_context_ring", "exc", ERR,
  run("a, b, c = map(ValueError, 'abc')\na.__context__ = b; b.__context__ = c; c.__cause__ = b\nraise a"))  # fmt: skip
f("exc_group_100k", "exc", ERR,
  run("raise ExceptionGroup('g' * 10**7, [ValueError(i) for i in range(100_000)])"), since=(3, 11))  # fmt: skip
f("exc_group_deep", "exc", ERR,
  run("g = ValueError(1)\nfor i in range(500): g = ExceptionGroup('g', [g, ValueError(i)])\nraise g"), since=(3, 11))  # fmt: skip
f("exc_group_lies", "exc", ERR, run("raise G('g', [ValueError()])",
  "class G(ExceptionGroup):\n    exceptions = property(lambda s: 1 / 0)\n    def __str__(s): raise OSError\n"), since=(3, 11))  # fmt: skip
f(
    "exc_notes_10mb",
    "exc",
    ERR,
    run("e = ValueError(); e.__notes__ = ['x' * 10**7] * 1000; raise e"),
)
f("exc_long_recursion", "exc", ERR,
  "import sys\nsys.setrecursionlimit(20_000)\n" + run("return f(15_000)", "def f(n): return f(n - 1) if n else 1 / n\n"))  # fmt: skip
f("exc_raised_by_a_library", "exc", ERR, run("import json; json.loads('[')"))
f("exc_source_file_gone", "exc", ERR, run("import os; os.remove(__file__); raise ValueError"))
f("exc_source_file_is_dev_zero", "exc", ERR,
  run("import os; os.remove(__file__); os.symlink('/dev/zero', __file__); raise ValueError"))  # fmt: skip
f(
    "exc_code_of_a_lying_file",
    "exc",
    ERR,
    run("exec(compile('\\n' * 10**6 + '1/0', '/dev/zero\\x00', 'exec'))"),
)
f("exc_excepthook_exits", "exc", ERR,
  run("import sys; sys.excepthook = sys.unraisablehook = lambda *a: sys.exit(0); raise ValueError"))  # fmt: skip

# --- sabotage that must not affect the next module
for _id, _body in {
    "sab_modules_clear": "import sys; sys.modules.clear()",
    "sab_modules_replaced": "import sys; sys.modules = {}",
    "sab_modules_deleted": "import sys; del sys.modules",
    "sab_meta_path_deleted": "import sys; del sys.meta_path, sys.path_hooks, sys.path",
    "sab_meta_path_none": "import sys; sys.meta_path = sys.path = sys.path_hooks = None",
    "sab_importlib_gone": "import sys\nfor n in list(sys.modules):\n    if 'importlib' in n: del sys.modules[n]",
    "sab_build_class": "import builtins; del builtins.__build_class__, builtins.len, builtins.KeyError",
    "sab_builtins_none": "import builtins; builtins.len = builtins.__import__ = builtins.open = None",
    "sab_builtins_clear": "import builtins; builtins.__dict__.clear()",
    "sab_path_importer_cache": "import sys; sys.path_importer_cache.clear(); sys.path_importer_cache = {}",
    "sab_package_gone": "import sys; del sys.modules['modules']",
    "sab_inspect_gone": "import sys, types; sys.modules['inspect'] = types.ModuleType('inspect')",
    "sab_threading_gone": "import sys; sys.modules['threading'] = None; sys.modules['atexit'] = None",
    "sab_gc_disabled": "import gc; gc.disable(); gc.freeze()",
    "sab_cwd_gone": "import os, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
    "sab_umask": "import os; os.umask(0o777)",
    "sab_settrace": "import sys; sys.settrace(lambda *a: None)",
    "sab_stdin_closed": "import sys; sys.stdin.close(); sys.stdin = None",
    "sab_stderr_closed": "import sys; sys.stderr.close(); sys.stderr = None",
    "sab_stdout_raises": "import sys\nclass B:\n    def flush(s): raise SystemExit(0)\n    def write(s, t): raise SystemExit(0)\nsys.stdout = sys.stderr = B()",
    "sab_environment_clear": "import os; os.environ.clear()",
}.items():  # fmt: skip
    f(_id, "sabotage", OK, run(_body + "\nreturn 3"))
f("sab_poisoned_in_import", "sabotage", OK,
  "import sys, types\nm = sys.modules['modules.good'] = types.ModuleType('modules.good')\nm.create = lambda s: None\n" + C)  # fmt: skip

# --- output
f("out_stderr", "output", OK, run("import sys; print('x', file=sys.stderr); return 3"))
f("out_surrogates", "output", ANY, run("print('\\ud800'); return 3"))
f("out_10mb", "output", OK, run("print('x' * 10**7); return 3"))
f(
    "out_prints_while_raising",
    "output",
    ERR,
    run("print('@@R {\"ok\": true}', end=''); raise ValueError"),
)

# --- the standard streams of the process
f("env_no_stdin", "env", OK, C, close=[0])
f("env_no_stderr", "env", OK, C, close=[2])
f("env_no_locale", "env", OK, run("print('é'); return 3"), env={"LANG": "C", "LC_ALL": "C"})
