"""libsparekey delivered: examples, headers, pkg-config, CMake, the ABI, and documentation of it all."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from support.mock import secret
from support.process import BUILD, PATIENCE_SECONDS, SANITIZER, clean_environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = BUILD / "examples"
LIBRARY = BUILD / "src/client/libsparekey.so"
HEADERS = ["sparekey.h", "openai_client.h"]

plain = pytest.mark.skipif(SANITIZER != "none", reason="programs are built without the sanitizer")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS * 6,
                          check=False, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def environment(mock, **more):
    """A revoked key and a good one, and where they are asked."""
    return clean_environment(OPENAI_API_KEY=secret("a"), OPENAI_API_KEY_FALLBACK_1=secret("b"),
                             OPENAI_BASE_URL=mock.url, **more)


@pytest.fixture(name="mock")
def mock_fixture(stage):
    return stage.mock({"a": {"state": "revoked"}, "b": {}})


# ---- examples -------------------------------------------------------------------------------


def example(name, mock, stage, *arguments, **options):
    return run(EXAMPLES / f"example-{name}", *arguments, cwd=stage.directory,
               env=environment(mock), **options)


def test_text(stage, mock):
    assert example("text", mock, stage, "a kite") == "echo: a kite\n"


def test_image(stage, mock):
    example("image", mock, stage, "a kite", "kite.png")
    assert (stage.directory / "kite.png").read_bytes()[:4] == b"\x89PNG"
    (stage.directory / "kite.png").unlink()


def test_chat(stage, mock):
    assert example("chat", mock, stage, input="one\ntwo\n") == "echo: one\necho: two\n"


def test_tools(stage, mock):
    """The mock answers with a text, or with a call where it is asked to."""
    assert example("tools", mock, stage, "no call")


def test_stream(stage, mock):
    assert example("stream", mock, stage, "one two three") == "echo: one two three\n"


def test_async_in_libuv(stage, mock):
    said = example("async_uv", mock, stage)
    assert sorted(said.splitlines()) == [f"echo: number {i}" for i in range(5)]


def test_threads(stage, mock):
    assert example("threads", mock, stage) == "40 of 40 served\n"


def test_health(stage, mock):
    said = example("health", mock, stage)
    assert said.startswith("degraded\n") and "unhealthy, revoked" in said
    assert "OPENAI_API_KEY_FALLBACK_1: healthy" in said


def test_single_key(stage, mock):
    assert example("single_key", mock, stage) == "echo: Hello!\n"


def test_raii(stage, mock):
    assert example("raii", mock, stage, "a kite") == "echo: a kite\ngpt-5.4-mini, 2 attempts\n"


def test_a_failing_example_says_why(stage, mock):
    mock.change("b", state="insufficient_quota")
    done = subprocess.run([EXAMPLES / "example-text"], env=environment(mock), cwd=stage.directory,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("text: ")


# ---- an installed copy ----------------------------------------------------------------------


@pytest.fixture(name="installed")
def installed_fixture(tmp_path_factory):
    place = tmp_path_factory.mktemp("installed")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", place, cwd=ROOT)
    root = place / "usr/local"
    (pc,) = root.rglob("sparekey.pc")
    return root, pc.parent.parent


def flags(installed, *what):
    root, libdir = installed
    return run("pkg-config", f"--define-variable=prefix={root}", *what,
               env={**os.environ, "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}).split()


def readme_program():
    """The first C program of README.md."""
    text = (ROOT / "README.md").read_text()
    program = re.search(r"```c\n(.*?)```", text, re.DOTALL)[1]
    assert program.count("\n") <= 10
    return program


@plain
def test_the_readmes_program_against_an_installed_copy(stage, mock, installed):
    _, libdir = installed
    (stage.directory / "hello.c").write_text(readme_program())
    run("gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "hello.c", *flags(installed, "--cflags",
        "--libs", "sparekey"), "-o", "hello", cwd=stage.directory)
    said = run("./hello", cwd=stage.directory,
               env=environment(mock, LD_LIBRARY_PATH=libdir))
    assert said.startswith("echo: ")
    for name in ("hello", "hello.c"):
        (stage.directory / name).unlink()


@plain
def test_the_static_library(stage, mock, installed):
    _, libdir = installed
    (stage.directory / "hello.c").write_text(readme_program())
    run("gcc", "hello.c", *flags(installed, "--cflags", "sparekey"), libdir / "libsparekey.a",
        *flags(installed, "--libs", "libcurl", "jansson", "yaml-0.1"), "-pthread", "-o", "hello",
        cwd=stage.directory)
    assert run("./hello", cwd=stage.directory, env=environment(mock)).startswith("echo: ")
    assert not [line for line in run("nm", "-g", "--defined-only", libdir / "libsparekey.a")
                .splitlines() if " T " in line and not re.search(r" T (sparekey|openai)_", line)]
    for name in ("hello", "hello.c"):
        (stage.directory / name).unlink()


@plain
@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake here")
def test_cmake_finds_it(stage, mock, installed):
    root, libdir = installed
    (stage.directory / "hello.c").write_text(readme_program())
    (stage.directory / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(hello C)\n"
        "find_package(sparekey 0.1 REQUIRED)\nadd_executable(hello hello.c)\n"
        "target_link_libraries(hello sparekey::sparekey)\n")
    run("cmake", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={root}", cwd=stage.directory)
    run("cmake", "--build", "b", cwd=stage.directory)
    said = run("b/hello", cwd=stage.directory, env=environment(mock, LD_LIBRARY_PATH=libdir))
    assert said.startswith("echo: ")
    shutil.rmtree(stage.directory / "b")


# ---- the ABI and its documentation ----------------------------------------------------------


def declared():
    """Every function of the installed headers."""
    names = set()
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/sparekey" / header).read_text(), flags=re.S)
        names |= set(re.findall(r"SPAREKEY_API\b[^;{]*?\b((?:sparekey|openai)_\w+)\s*\(", text))
    return names


def exported():
    listed = run("nm", "-D", "--defined-only", LIBRARY)
    return {line.split()[-1].split("@")[0] for line in listed.splitlines()
            if line.split()[-2] != "A"}


@plain
def test_the_library_exports_what_was_released_and_nothing_else():
    """A name may come; a name that goes breaks programs. `symbols.txt` is changed on purpose only."""
    released = set((ROOT / "tests/lib/symbols.txt").read_text().split())
    assert exported() == released == declared()


@plain
def test_the_library_has_its_name_and_version():
    assert "libsparekey.so.0" in run("readelf", "-d", LIBRARY)
    assert "SPAREKEY_0" in run("readelf", "-V", LIBRARY)


@plain
def test_the_library_is_small():
    text = int(run("size", LIBRARY).splitlines()[1].split()[0])
    assert text < 300 << 10


def test_the_reference_is_that_of_the_header():
    """docs/library-reference.md is made by tools/make-reference and names every function."""
    page = (ROOT / "docs/library-reference.md").read_text()
    assert page == run(ROOT / "tools/make-reference", "--markdown")
    for name in declared():
        assert f"`{name}`" in page, name


def test_every_function_has_a_manual_page(tmp_path):
    run(ROOT / "tools/make-reference", "--man", tmp_path)
    pages = {path.stem for path in tmp_path.glob("*.3")}
    assert declared() <= pages
    text = (tmp_path / "sparekey_generate_text.3").read_text()
    assert ".SH SYNOPSIS" in text and "sparekey/sparekey.h" in text
    for page in sorted(tmp_path.glob("*.3")):
        said = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                              env={**os.environ, "MANPAGER": "cat"}, check=False)
        assert not said.stderr, said.stderr
