"""A sandbox for untrusted code: bubblewrap's namespaces, resource limits, and a copy of the working tree.

The code sees `/usr`, the interpreters that it is given, an empty `/tmp`, and at `/workspace` a copy of the working
tree. It has no network but a loopback interface of its own, no other file of this machine, and none of its processes.
Whatever it writes goes to memory of a limited size, and is gone at the end, with all its processes. `docs/pair.md` says
what this protects against and what it does not.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from telic.errors import SandboxError
from telic.workspaces.processes import ProcessResult, RunLimits, run_within_limits

__all__ = ["TREE", "Sandbox", "sandbox_problem"]

TREE = "/workspace"
"""Where the code finds its copy of the working tree."""
SOURCE = "/source"
SHARED_MEMORY_BYTES = 64 << 20
ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "ssl/certs",
)
"""What of `/etc` programs need. None of it is secret."""
WHERE_TO_GET_IT = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap)"
UNSAFE_HINT = "--unsafe (in Python: unsafe=True) runs the code without a sandbox, with all your permissions"


@cache
def sandbox_problem() -> str | None:
    """Return why this machine cannot run a sandbox, and what to do about it; None if it can."""
    if not sys.platform.startswith("linux"):
        return (
            f"The sandbox needs Linux, and this is {sys.platform!r}. Use a Linux machine or container; {UNSAFE_HINT}."
        )
    for program in ("bwrap", "prlimit", "setpriv"):
        if shutil.which(program) is None:
            return f"The sandbox needs the program {program!r}. {WHERE_TO_GET_IT}; {UNSAFE_HINT}."
    with tempfile.TemporaryDirectory(prefix="telic-sandbox-") as empty:
        result = _run_in_namespaces(["true"], Path(empty), RunLimits(seconds=20), {})
    if result.succeeded:
        return None
    return (
        f"bwrap cannot make a sandbox here: {result.output.strip() or result.stopped!r}. User namespaces may be "
        f"forbidden (see the sysctls kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns "
        f"and user.max_user_namespaces, or the security profile of the container); {UNSAFE_HINT}."
    )


class Sandbox:
    """Runs commands on copies of a working tree.

    Args:
        limits: what a run may use.
        unsafe: run without a sandbox: on a copy of the tree still, and within the limits of time and output.

    Raises:
        SandboxError: this machine cannot run a sandbox, and `unsafe` is not set.
    """

    def __init__(self, limits: RunLimits | None = None, unsafe: bool = False) -> None:
        self.limits = limits or RunLimits()
        self.unsafe = unsafe
        if not unsafe and (problem := sandbox_problem()):
            raise SandboxError(problem)

    def run(
        self,
        command: Sequence[str],
        tree: Path,
        *,
        environment: Mapping[str, str] | None = None,
        readable: Sequence[Path] = (),
        hidden: Sequence[str] = (),
        report: str | None = None,
        limits: RunLimits | None = None,
    ) -> ProcessResult:
        """Run a command on a copy of a working tree; the tree itself is not changed.

        Args:
            command: the program and its arguments. The working folder is the copy of the tree.
            tree: the folder that is copied, without `.git`.
            environment: variables to set; the caller's environment is not inherited.
            readable: further folders that the code may read, such as a virtual environment.
            hidden: paths in the tree that the code does not get.
            report: path of a file, relative to the tree, that is returned.
            limits: limits of this run instead of the sandbox's.
        """
        hidden = [name for name in (".git", *hidden) if os.path.lexists(tree / name)]
        run = _run_on_copy if self.unsafe else _run_in_namespaces
        return run(command, tree, limits or self.limits, environment or {}, readable, hidden, report)


def _run_in_namespaces(
    command: Sequence[str],
    tree: Path,
    limits: RunLimits,
    environment: Mapping[str, str],
    readable: Sequence[Path] = (),
    hidden: Sequence[str] = (),
    report: str | None = None,
) -> ProcessResult:
    user = _unused_user()
    files = {
        "/etc/passwd": f"sandbox:x:{user}:{user}::/tmp:/bin/sh\n",
        "/etc/group": f"sandbox:x:{user}:\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }
    contents = {path: _in_memory(text) for path, text in files.items()}
    empty = [_in_memory("") for _ in hidden]
    files_in_memory = [*contents.values(), *empty]
    arguments = [
        *_namespaces(user),
        *_system(),
        *(part for path, file in contents.items() for part in ("--perms", "0644", "--file", str(file), path)),
        *_tmpfs("/tmp", limits.disk_bytes),
        *(part for path in readable for part in _bind(path)),  # one of them may be below /tmp
        *_tmpfs(TREE, limits.disk_bytes),
        *("--ro-bind", str(tree), SOURCE),
        *(part for name in hidden for part in _cover(tree / name, f"{SOURCE}/{name}", empty)),
        *("--remount-ro", "/", "--chdir", TREE),
    ]
    script = _script(_copy(user, hidden), report, limits.output_bytes)
    try:
        return run_within_limits(
            ["bwrap", *arguments, "/bin/sh", "-c", script, "sh", *_privileges(user), *_resources(limits), *command],
            limits,
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin", **_defaults(), **environment},
            keep_open=files_in_memory,
        )
    finally:
        for file in files_in_memory:
            os.close(file)


def _unused_user() -> int:
    """A user without files or processes, as the kernel does not count root's processes against a limit."""
    return secrets.randbelow(1 << 28) + (1 << 30) if os.geteuid() == 0 else os.getuid()


def _namespaces(user: int) -> list[str]:
    # The process keeps bwrap's end as its own: with bwrap or Telic gone, the kernel ends everything in the namespace.
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        return [
            *arguments,
            *(part for cap in ("CHOWN", "SETUID", "SETGID", "SETPCAP") for part in ("--cap-add", f"CAP_{cap}")),
        ]
    return ["--unshare-user", "--disable-userns", "--uid", str(user), "--gid", str(user), *arguments]


def _privileges(user: int) -> list[str]:
    if os.geteuid() != 0:
        return []
    return [
        *("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--no-new-privs"),
        *("--bounding-set", "-all", "--inh-caps", "-all", "--"),
    ]


def _resources(limits: RunLimits) -> list[str]:
    # Set inside the namespaces, where the user's other processes do not count.
    return [
        "prlimit",
        f"--nproc={limits.processes}",
        f"--as={limits.memory_bytes}",
        f"--fsize={limits.file_bytes}",
        f"--cpu={limits.cpu_seconds}",
        "--core=0",
        "--nofile=1024",
        "--",
    ]


def _system() -> list[str]:
    """The parts of the system that every program needs, read-only."""
    arguments = ["--ro-bind", "/usr", "/usr", *_folder("/etc"), *_folder("/etc/ssl")]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for name in ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--dev", "/dev", *_tmpfs("/dev/shm", SHARED_MEMORY_BYTES), "--remount-ro", "/dev"]
    return [*arguments, "--proc", "/proc"]


def _tmpfs(path: str, size: int) -> list[str]:
    return ["--perms", "1777", "--size", str(size), "--tmpfs", path]


def _folder(path: str) -> list[str]:
    return ["--perms", "0755", "--dir", path]


def _bind(path: Path) -> list[str]:
    """Show a folder at its own place, read-only, below folders that hold nothing else."""
    parents = [parent for parent in reversed(path.parents) if parent != Path("/")]
    return [*(part for parent in parents for part in _folder(str(parent))), "--ro-bind", str(path), str(path)]


def _cover(path: Path, place: str, empty: list[int]) -> list[str]:
    """Show something empty in the place of a file or folder."""
    if path.is_symlink():
        return []  # what it points to is not in the sandbox
    if path.is_dir():
        return ["--tmpfs", place]
    return ["--ro-bind-data", str(empty.pop()), place]


def _copy(user: int, hidden: Sequence[str]) -> list[str]:
    """The commands that copy the tree, while the shell still has the rights of the user that owns it."""
    copy = [f"find {SOURCE} -mindepth 1 -maxdepth 1 -exec cp -dR --preserve=mode,timestamps -t . {{}} + || exit 125"]
    remove = [f"rm -rf -- {shlex.join(hidden)}"] if hidden else []
    give = [f"chown -hR {user}:{user} . || exit 125"] if os.geteuid() == 0 else []
    return [*copy, *remove, *give]


def _script(prepare: Sequence[str], report: str | None, report_bytes: int) -> str:
    """A shell script: prepare the tree, run the arguments as a command, hand the report over.

    The report alone goes to the script's output, which the command does not inherit.
    """
    file = shlex.quote(report or "")
    hand_over = [f"if [ -f {file} ]; then head -c {report_bytes} {file}; fi"] if report else []
    return "\n".join([*prepare, '"$@" >&2', "code=$?", *hand_over, "exit $code"])


def _in_memory(text: str) -> int:
    """A file without a name; bwrap copies it into the sandbox."""
    file = os.memfd_create("telic")
    os.write(file, text.encode())
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _defaults() -> dict[str, str]:
    return {
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "TERM": "dumb",
    }


def _run_on_copy(
    command: Sequence[str],
    tree: Path,
    limits: RunLimits,
    environment: Mapping[str, str],
    readable: Sequence[Path] = (),
    hidden: Sequence[str] = (),
    report: str | None = None,
) -> ProcessResult:
    """Run a command without a sandbox, on a copy in a temporary folder."""
    del readable  # everything is
    with tempfile.TemporaryDirectory(prefix="telic-unsafe-") as temporary:
        copy, home = Path(temporary, "tree").resolve(), Path(temporary, "home")
        shutil.copytree(tree, copy, symlinks=True)
        home.mkdir()
        for name in hidden:
            path = copy / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        moved = {key: value.replace(TREE, str(copy)) for key, value in environment.items()}
        script = _script([], report, limits.output_bytes)
        return run_within_limits(
            ["/bin/sh", "-c", script, "sh", *(part.replace(TREE, str(copy)) for part in command)],
            limits,
            environment={"PATH": os.defpath, **_defaults(), "HOME": str(home), "TMPDIR": str(home), **moved},
            folder=copy,
        )
