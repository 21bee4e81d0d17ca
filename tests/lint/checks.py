"""The rules. A check is a generator over a House that yields one line for every offence."""

import concurrent.futures
import functools
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile

import exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]

# DESIGN.md §1: what the files of a directory of src/ may include, besides their own.
ARROWS = {
    "base": set(),
    "pool": {"base"},
    "openai": {"base", "pool"},
    "settings": {"base", "pool", "openai"},
    "keyring": {"base", "pool", "openai", "settings"},
    "net": {"base"},
    "observe": {"base"},
    "store": {"base", "pool", "openai"},
    "client": {"base", "pool", "openai", "settings", "keyring", "sparekey"}, # include/sparekey
    "gateway": {"base", "pool", "openai", "settings", "keyring", "net", "observe", "store"},
    "mock": {"base", "pool", "openai", "settings", "net", "observe"},
    "cli": {"base", "pool", "openai", "settings", "keyring", "net", "observe", "store", "client",
            "gateway", "mock"},
}

SANS_IO = ("base", "pool", "openai")

# All that sans-IO code needs of the C library: memory, strings, formatting into memory.
PURE = re.compile(
    r"^_*(mem(cpy|move|set|chr|rchr|cmp|mem)|explicit_bzero|str(n?len|n?cmp|n?casecmp|chr|rchr|str|"
    r"spn|cspn|pbrk|error)|v?snprintf|malloc|calloc|realloc|reallocarray|free|qsort|bsearch)(_chk)?$")
# What compilers and sanitizers add by themselves.
COMPILER = re.compile(
    r"^(__(asan|ubsan|tsan|sanitizer|lsan)|_GLOBAL_OFFSET_TABLE_|__stack_chk|__u?(div|mod|mul)|__(clz|"
    r"ctz|popcount)|__gcc)")

BANNED_CALLS = ("strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "strtok", "strtok_r", "atoi",
                "atol", "atoll", "atof", "alloca", "gets", "strncpy", "strncat", "mktemp", "tmpnam")

FUNCTION_LINES_MAX = 100
FUNCTION_LINES_MEDIAN = 15

SLEEPS = re.compile(r"(?<![\w.\"'])(?:u|nano)?sleep\s*\(|\b(?:time|asyncio|anyio)\.sleep\b")
MACHINE_PATHS = re.compile(r"(?<![\w.:/<-])/(?:home|root|Users|mnt|media|work)/[A-Za-z0-9_.-]+")
COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                             re.DOTALL)


class Skip(Exception):
    """A tool that the check needs is not there."""


def _blank(match):
    """Comments and texts become spaces, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match[0])


class House:
    """The files under version control, read once."""

    def __init__(self, build):
        self.build = build
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                                 "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
        names = sorted(name for name in listed.stdout.decode().split("\0") if name)
        self.files = [ROOT / name for name in names if (ROOT / name).is_file()]
        self.directories = sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir())

    def matching(self, *patterns):
        return [f for f in self.files
                if any(f.relative_to(ROOT).match(pattern) for pattern in patterns)]

    def sources(self):
        return self.matching("src/*/*.c", "src/*/*.h")

    @functools.lru_cache(maxsize=None)
    def code(self, path):
        """The text of a C file without comments and texts."""
        return COMMENT_OR_TEXT.sub(_blank, path.read_text())

    def objects(self, directory):
        found = sorted((self.build / "src" / directory).glob("*.p/*.o"))
        if not found and directory != "cli": # cli's objects belong to the program
            found = sorted(self.build.glob(f"*.p/src_{directory}_*.o"))
        return found


def _place(path, text, offset):
    return f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, offset) + 1}"


# ---- structure ------------------------------------------------------------------------------


def arrows_between_directories(house):
    """#include "x/y.h" goes down only (DESIGN.md §1)."""
    for path in house.sources():
        own = path.parent.name
        if own not in ARROWS:
            yield f"{path.relative_to(ROOT)}: the directory is not in the drawing of DESIGN.md §1"
            continue
        text = path.read_text()
        for include in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', text, re.MULTILINE):
            target = include[1].split("/")[0] if "/" in include[1] else own
            if target != own and target not in ARROWS[own]:
                yield f"{_place(path, text, include.start())}: {own} may not include {include[1]}"


def _symbols(objects, kinds):
    """Names of the symbols of these nm kinds."""
    if not objects:
        return set()
    listed = subprocess.run(["nm", *map(str, objects)], capture_output=True, text=True, check=True)
    found = re.findall(rf"^[0-9a-f ]* ([{kinds}]) (\S+)$", listed.stdout, re.MULTILINE)
    return {name.split("@")[0] for _, name in found}


def sans_io_calls(house):
    """base, pool and openai call nothing but each other and the pure part of the C library: no
    socket, clock, environment, randomness, output or thread. Read from the objects."""
    known = set()
    for directory in SANS_IO:
        objects = house.objects(directory)
        if not objects:
            yield f"{directory}: no objects in {house.build}"
            continue
        known |= _symbols(objects, "TDRBVW")
        for name in sorted(_symbols(objects, "U") - known):
            if PURE.match(name) or COMPILER.match(name):
                continue
            if (directory, name) not in exceptions.IMPURE:
                yield f"src/{directory} uses {name}, which is not sans-IO"


def no_mutable_globals(house):
    """Nothing of ours in .data or .bss (STYLE.md 5). Read from the objects."""
    objects = [o for d in house.directories for o in house.objects(d)]
    objects += sorted((house.build / "sparekey.p").glob("*.o"))
    if not objects:
        yield f"no objects in {house.build}"
    for path in objects:
        listed = subprocess.run(["objdump", "-t", str(path)], capture_output=True, text=True,
                                check=True)
        for line in listed.stdout.splitlines():
            told = re.match(r"\S+ .{7} (\.t?data|\.t?bss)(\.(?!rel\.ro)\S*)?\s+\S+\s+(\S+)$", line)
            if told and " O " in line and not re.match(r"^(\.|__|_*asan|\.?L)", told[3]):
                yield f"{path.name}: {told[3]} is a mutable global"


def one_test_program_per_module(house):
    """src/room/x.c has tests/unit/room/test_x.c, or a reason in exceptions.py (STYLE.md 1)."""
    missing = set()
    for path in house.matching("src/*/*.c"):
        module = f"{path.parent.name}/{path.stem}"
        if not (ROOT / f"tests/unit/{path.parent.name}/test_{path.stem}.c").exists():
            missing.add(module)
    for module in sorted(missing - set(exceptions.UNTESTED)):
        yield f"src/{module}.c has no tests/unit/{module.replace('/', '/test_')}.c"
    for module in sorted(set(exceptions.UNTESTED) - missing):
        yield f"exceptions.py: {module} has its test, or is gone: take it off the list"


def lengths_of_functions(house):
    """Median at most 15 lines, none above 100 (STYLE.md 2)."""
    lengths = []
    for path in house.matching("src/*/*.c"):
        text = house.code(path)
        for body in re.finditer(r"^\{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
            lines = body[1].count("\n")
            lengths.append(lines)
            if lines > FUNCTION_LINES_MAX:
                yield f"{_place(path, text, body.start())}: a function of {lines} lines"
    if not lengths or statistics.median(lengths) > FUNCTION_LINES_MEDIAN:
        yield f"the median function has {statistics.median(lengths or [0])} lines"


# ---- headers --------------------------------------------------------------------------------


def _compile_alone(job):
    header, compiler, language, standard = job
    with tempfile.NamedTemporaryFile("w", suffix=".c" if language == "c" else ".cc") as unit:
        unit.write(f'#include "{header}"\n')
        unit.flush()
        done = subprocess.run(
            [compiler, "-x", language, f"-std={standard}", "-fsyntax-only", "-Wall", "-Wextra",
             "-Werror", "-Wno-unused-function", "-D_GNU_SOURCE", "-DLLHTTP_STRICT_MODE=1",
             '-DSPAREKEY_VERSION="0"', "-Isrc", "-Iinclude", "-isystem",
             "/usr/share/include/llhttp", unit.name],
            cwd=ROOT, capture_output=True, text=True, check=False)
    wrong = re.search(r"^.*error:.*$", done.stderr, re.MULTILINE)
    where = header.relative_to(ROOT)
    return "" if done.returncode == 0 else f"{where} as {language}: {wrong[0] if wrong else done.stderr}"


def _headers_alone(house, compilers, language, standard):
    compiler = next(filter(shutil.which, compilers), None)
    if not compiler:
        raise Skip(f"none of {', '.join(compilers)} is installed")
    headers = house.matching("src/*/*.h", "include/sparekey/*.h")
    jobs = [(h, compiler, language, standard) for h in headers]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from filter(None, pool.map(_compile_alone, jobs))


def headers_compile_alone_as_c(house):
    """Every header includes what it needs (STYLE.md 3)."""
    yield from _headers_alone(house, ("gcc", "clang", "cc"), "c", "gnu17")


def headers_compile_alone_as_cxx(house):
    """And is usable from C++, of the first standard that knows C's atomics."""
    yield from _headers_alone(house, ("g++", "clang++"), "c++", "gnu++2b")


def headers_are_guarded_and_introduced(house):
    """A guard named after the path, and a comment that says what the header is for."""
    for path in house.matching("src/*/*.h", "include/sparekey/*.h"):
        text = path.read_text()
        guard = f"SPAREKEY_{path.parent.name}_{path.stem}_H".upper().replace("SPAREKEY_SPAREKEY_",
                                                                             "SPAREKEY_")
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            yield f"{path.relative_to(ROOT)}: the guard is not {guard}"
        if not text.lstrip().startswith("/*"):
            yield f"{path.relative_to(ROOT)}: does not say at its top what it is for"


def installed_symbols_are_documented(house):
    """Each function of an installed header has its comment (STYLE.md 11)."""
    for path in house.matching("include/sparekey/*.h"):
        text = path.read_text()
        for declared in re.finditer(r"^[A-Za-z][^\n;{}#]*\b(sparekey_\w+)\s*\(", text, re.MULTILINE):
            before = text[:declared.start()].rstrip()
            if not before.endswith("*/"):
                yield f"{_place(path, text, declared.start())}: {declared[1]} has no comment"


# ---- habits ---------------------------------------------------------------------------------


def log_events_are_in_their_table(house):
    """Programs filter log lines by name: every one stands in observe/log_events.h."""
    table = (ROOT / "src/observe/log_events.h").read_text()
    known = set(re.findall(r'^    X\("(\w+)",', table, re.MULTILINE))
    call = re.compile(r'\blog_(?:line|fields|event)\s*\([^;{"]*"(\w+)"')
    for path in house.matching("src/*/*.c"):
        text = path.read_text()
        for found in call.finditer(text):
            if found[1] not in known:
                yield f"{_place(path, text, found.start())}: {found[1]} is not in log_events.h"


def events_are_documented(house):
    """docs/events.md names every event and every member of its JSON."""
    page = (ROOT / "docs/events.md").read_text()
    header = (ROOT / "src/observe/events.h").read_text()
    names = re.findall(r'^    X\(EVENT_\w+, "(\w+)"', header, re.MULTILINE)
    names += re.findall(r'put_\w+\(&?t, "(\w+)"', (ROOT / "src/observe/events.c").read_text())
    if len(names) < 20:
        yield "the tables of src/observe/events are not found where they were"
    for name in names:
        if f"`{name}`" not in page:
            yield f"docs/events.md does not name {name}"


def banned_functions(house):
    """Functions that cannot be used safely, or not by us (STYLE.md 16)."""
    calls = re.compile(rf"(?<![\w.>])({'|'.join(BANNED_CALLS)})\s*\(")
    for path in house.matching("*.c", "*.h"):
        text = house.code(path)
        for call in calls.finditer(text):
            yield f"{_place(path, text, call.start())}: {call[1]}"


def no_sleep_in_tests(house):
    """Tests wait for events, never for time (STYLE.md 23)."""
    for path in house.matching("tests/*.py", "tests/**/*.py", "tests/**/*.c", "tests/**/*.mjs",
                               "tests/**/*.h"):
        if path.parent.name == "lint":
            continue
        text = house.code(path) if path.suffix in (".c", ".h") else path.read_text()
        for found in SLEEPS.finditer(text):
            yield f"{_place(path, text, found.start())}: {found[0]}…"


def no_path_of_one_machine(house):
    """What is here works anywhere."""
    for path in house.files:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path.parent.name == "lint":
            continue
        for found in MACHINE_PATHS.finditer(text):
            yield f"{_place(path, text, found.start())}: {found[0]}"


def lock_file_names_no_host(house):
    """package-lock.json works with whatever registry npm is set to."""
    for path in house.matching("tests/**/package-lock.json"):
        if re.search(r"https?://", path.read_text()):
            yield f"{path.relative_to(ROOT)} names a host"


def formatting(house):
    """As .clang-format says: make format."""
    tool = next(filter(shutil.which, ("clang-format-14", "clang-format")), None)
    if not tool:
        raise Skip("clang-format is not installed")
    files = [str(path) for path in house.matching("*.c", "*.h")]
    done = subprocess.run([tool, "--dry-run", *files], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    said = re.findall(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", done.stderr,
                      re.MULTILINE)
    for name in sorted({name for name, _ in said}):
        lines = [line for n, line in said if n == name]
        yield f"{os.path.relpath(name, ROOT)}: {len(lines)} places, the first in line {lines[0]}"


CHECKS = [
    arrows_between_directories,
    sans_io_calls,
    no_mutable_globals,
    one_test_program_per_module,
    lengths_of_functions,
    headers_compile_alone_as_c,
    headers_compile_alone_as_cxx,
    headers_are_guarded_and_introduced,
    installed_symbols_are_documented,
    log_events_are_in_their_table,
    events_are_documented,
    banned_functions,
    no_sleep_in_tests,
    no_path_of_one_machine,
    lock_file_names_no_host,
    formatting,
]
