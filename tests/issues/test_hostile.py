"""Hostile patches. Each gives the right answer only if its attack succeeds: resolved would mean not contained."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from telic.issues import IssueJudge
from tests.issues.repositories import (
    CALC,
    FIXED,
    PLAIN,
    SMALL,
    TESTS,
    calc_issue,
    make_repository,
    needs_sandbox,
    patch_of,
    write,
)

pytestmark = needs_sandbox
FILES = {"calc.py": CALC, "tests/test_calc.py": TESTS, ".env": "API_TOKEN=hunter2hunter2\n", "setup.cfg": "[x]\n"}
MARKER = "telic-daemon-of-a-test"

ATTACKS = {
    "connects to the internet": "import socket\n    socket.create_connection(('1.1.1.1', 53), 2)",
    "resolves a name": "import socket\n    socket.getaddrinfo('example.com', 80)",
    "connects to a server of this machine": "import socket\n    socket.create_connection(('127.0.0.1', {port}), 2)",
    "opens a raw socket": "import socket\n    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "reads a file of the user": "open({secret!r}).read()",
    "lists the home folder": "import os\n    assert [x for x in os.scandir({home!r}) if x.is_file()]",
    "reads a private file of the repository": "open('.env').read()",
    "reads it where the tree comes from": "assert open('/source/.env').read()",
    "reads the user's passwords": "open('/etc/shadow').read()",
    "reads the environment of this process": "open('/proc/{pid}/environ').read()",
    "sees other processes": "import os\n    assert len([p for p in os.listdir('/proc') if p.isdigit()]) > 12",
    "follows a link that it makes": "import os\n    os.symlink({secret!r}, 'link'); open('link').read()",
    "writes outside": "open({outside!r}, 'w').write('x')",
    "writes to the root": "open('/x', 'w').write('x')",
    "writes to the system": "open('/usr/x', 'w').write('x')",
    "writes to the interpreter": "import os; open(os.__file__, 'a').write('#')",
    "writes a git hook": "open('.git/hooks/pre-commit', 'w').write('x')",
    "writes to the source": "open('/source/calc.py', 'a').write('#')",
    "becomes root": "import os\n    os.setuid(0)",
    "mounts": "import ctypes\n    assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "signals this process": "import os\n    os.kill({pid}, 0)",
    "kills its parent": "import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)\n    import time; time.sleep(30)",
    "loops": "while True: pass",
    "sleeps": "import time\n    time.sleep(60)",
    "floods the output": "import os\n    for _ in range(1000): os.write(2, b'x' * 65536)",
    "writes a huge file": "open('big', 'wb').write(bytes(16 << 20))",
    "fills the disk": "for i in range(64): open(f'big{{i}}', 'wb').write(bytes(1 << 20))",
    "fills the memory": "x = bytearray(2 << 30)",
    "leaves without an error": "import os\n    os._exit(0)",
    "leaves as if a test had failed": "import os\n    os._exit(1)",
    "ends pytest": "import pytest\n    pytest.exit('done', returncode=0)",
    "skips its test": "import pytest\n    pytest.skip('not today')",
}
"""By name: what `add` does before it returns the right answer."""

FORK_BOMB = """
def add(a, b):
    import os, time
    children = 0
    try:
        while children < 60:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            children += 1
    except OSError:
        return None
    return a + b
"""
PASS_ALL = """
import _pytest.reports
_report = _pytest.reports.TestReport.from_item_and_call.__func__
def _passed(cls, item, call):
    report = _report(cls, item, call)
    report.outcome, report.longrepr = "passed", None
    return report
_pytest.reports.TestReport.from_item_and_call = classmethod(_passed)
"""
FORGED = """
import os
CASE = '<testcase classname="tests.test_calc" file="tests/test_calc.py" name="%s"/>'
CASES = CASE % "test_add" + CASE % "test_double"
open(".telic-report.xml", "w").write(f"<testsuites><testsuite>{CASES}</testsuite></testsuites>")
os._exit(0)
"""
HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = (yield).get_result()
    result.outcome, result.longrepr = "passed", None
"""
EASY = "def test_add():\n    pass\n\n\ndef test_double():\n    pass\n"
FILE_ATTACKS = {
    "a fork bomb": {"calc.py": CALC + FORK_BOMB},
    "changes what pytest reports": {"calc.py": CALC + PASS_ALL},
    "forges the report": {"calc.py": CALC + FORGED},
    "a conftest with a hook": {"conftest.py": HOOK},
    "a conftest beside the tests": {"tests/conftest.py": HOOK},
    "a conftest that exits": {"conftest.py": "import os\nos._exit(0)\n"},
    "a module in the place of pytest": {"pytest.py": FORGED, "_pytest/__init__.py": FORGED},
    "a sitecustomize": {"sitecustomize.py": FORGED},
    "a plug-in by metadata": {
        "evil.egg-info/entry_points.txt": "[pytest11]\nevil = evil\n",
        "evil.egg-info/PKG-INFO": "Metadata-Version: 1.0\nName: evil\nVersion: 1\n",
        "evil.py": HOOK,
    },
    "options in setup.cfg": {"setup.cfg": "[tool:pytest]\naddopts = --collect-only\n"},
    "options in a new pytest.ini": {"pytest.ini": "[pytest]\naddopts = --deselect tests/test_calc.py::test_add\n"},
    "easier tests": {"tests/test_calc.py": EASY},
    "an empty test file": {"tests/test_calc.py": ""},
}
"""By name: files that a patch changes or creates, beside the wrong `add`."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> IssueJudge:
    repository = make_repository(tmp_path_factory.mktemp("hostile") / "repository", FILES)
    return IssueJudge(calc_issue(repository), PLAIN, SMALL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What the attacks aim at: a secret file, a place to write, a server, this process."""
    write(tmp_path, {"secret.txt": "secret"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {
            "secret": str(tmp_path / "secret.txt"),
            "outside": str(tmp_path / "outside.txt"),
            "home": str(Path.home()),
            "port": server.getsockname()[1],
            "pid": os.getpid(),
        }


def test_a_right_patch_resolves_the_issue(judge: IssueJudge) -> None:
    verdict = judge.judge(patch_of({"calc.py": CALC}, {"calc.py": FIXED}))
    assert verdict.resolved, verdict
    assert verdict.turned_green == ("tests/test_calc.py::test_add",)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_while_the_tests_run_is_contained(attack: str, judge: IssueJudge, place: dict[str, object]) -> None:
    body = attack.format(**place)
    hostile = CALC.replace("    return a - b\n", f"    {body}\n    return a + b\n")
    seconds = 3 if "sleep" in attack or "while" in attack else 20
    judge._limits = SMALL if seconds == 20 else SMALL.__class__(seconds=seconds, output_bytes=1 << 20)
    started = time.monotonic()
    verdict = judge.judge(patch_of({"calc.py": CALC}, {"calc.py": hostile}))
    assert not verdict.resolved, verdict.reason
    assert verdict.after is not None, f"the attack was not carried out: {verdict.reason}"
    assert time.monotonic() - started < 60
    assert not Path(str(place["outside"])).exists()
    assert sorted(path.name for path in judge.issue.repository.iterdir()) == [
        ".env",
        ".git",
        "calc.py",
        "setup.cfg",
        "tests",
    ]


@pytest.mark.parametrize("changed", FILE_ATTACKS.values(), ids=FILE_ATTACKS)
def test_a_patch_that_aims_at_the_tests_gains_nothing(changed: dict[str, str], judge: IssueJudge) -> None:
    verdict = judge.judge(patch_of({name: FILES[name] for name in changed if name in FILES}, changed))
    assert not verdict.resolved
    assert verdict.after is not None, f"the attack was not carried out: {verdict.reason}"


def test_deleted_tests_are_restored(judge: IssueJudge) -> None:
    name = "tests/test_calc.py"
    verdict = judge.judge(patch_of({name: TESTS, "calc.py": CALC}, {"calc.py": FIXED}))
    assert verdict.resolved


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (patch_of({}, {".git/hooks/pre-commit": "#!/bin/sh\n"}), "cannot be read|git"),
        (patch_of({}, {"../outside.txt": "x\n"}), "cannot be read|'..'"),
        (patch_of({}, {".gitattributes": "* filter=x\n"}), "run programs"),
        (patch_of({}, {".husky/pre-commit": "x\n"}), "run programs"),
        (patch_of({}, {".gitmodules": "[submodule]\n"}), "run programs"),
        (patch_of({}, {".env.local": "x\n"}), "secrets"),
        (
            "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n+/etc/passwd\n"
            "\\ No newline at end of file\n",
            "symbolic link",
        ),
        (
            "diff --git a/sub b/sub\nnew file mode 160000\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n"
            "+Subproject commit 1111111111111111111111111111111111111111\n",
            "submodule",
        ),
        *(
            (
                f"diff --git a/link b/link\nnew file mode {mode}\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n"
                "+/etc/passwd\n\\ No newline at end of file\n",
                "symbolic link",
            )
            for mode in ("0120000", "+120000", "120000\r")  # git reads all of them
        ),
        *(
            (
                f"diff --git a/calc.py b/x.py\nsimilarity index 100%\nrename from {name}\nrename to x.py\n",
                "without quotes",
            )
            for name in ('"calc.py"', "calc.py\r")
        ),
        ("rm -rf /\n", "cannot be read"),
        ("", "empty"),
        (patch_of({"calc.py": "something else\n"}, {"calc.py": "x\n"}), "does not fit"),
    ],
)
def test_a_patch_that_may_not_be_applied_is_refused(patch: str, reason: str, judge: IssueJudge) -> None:
    verdict = judge.judge(patch)
    assert not verdict.resolved
    assert verdict.after is None
    assert any(part in verdict.reason for part in reason.split("|")), verdict.reason


def test_a_file_in_the_place_of_the_tests_folder(judge: IssueJudge) -> None:
    folder = patch_of({"tests/test_calc.py": TESTS, "calc.py": CALC}, {"calc.py": CALC, "tests": "x\n"})
    assert not judge.judge(folder).resolved
    assert not judge.judge(patch_of({}, {"conftest.py/x.py": "x = 1\n"})).resolved


def test_no_process_outlives_the_run(judge: IssueJudge) -> None:
    daemon = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', {MARKER!r}], start_new_session=True)\n"
    )
    verdict = judge.judge(patch_of({"calc.py": CALC}, {"calc.py": daemon + FIXED}))
    assert verdict.resolved  # the answer is right; the daemon only has to be gone
    assert not [process for process in psutil.process_iter(["cmdline"]) if MARKER in (process.info["cmdline"] or [])]


def test_a_signal_to_everything_reaches_nothing_outside(judge: IssueJudge) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        judge.judge(patch_of({"calc.py": CALC}, {"calc.py": "import os\nos.kill(-1, 9)\n" + CALC}))
        assert bystander.poll() is None
        bystander.kill()


def test_a_regression_does_not_resolve(judge: IssueJudge) -> None:
    verdict = judge.judge(patch_of({"calc.py": CALC}, {"calc.py": FIXED.replace("2 * a", "3 * a")}))
    assert not verdict.resolved
    assert verdict.regressions == ("tests/test_calc.py::test_double",)
