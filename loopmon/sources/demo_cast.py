"""Who lives on the demo's machine: its processes, and nothing that moves. ``demo`` has the script."""

from __future__ import annotations

from loopmon.model import Ancestor, Ports, Process, ProcessId, Protocol, Ties

START = 1_767_355_384.0
"""The demo's clock starts on 2026-01-02 at 12:03:04 UTC, whatever the day."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

PORTS = Ports(
    ephemeral=(32768, 60999),
    services={
        (8125, Protocol.UDP): "statsd",
        (5353, Protocol.UDP): "mdns",
        (5432, Protocol.TCP): "postgresql",
        (6379, Protocol.TCP): "redis",
        (8080, Protocol.TCP): "http-alt",
    },
)

SYSTEMD = Ancestor(ProcessId(1, START - 9 * DAY), "systemd")
TMUX = Ancestor(ProcessId(900, START - 3 * DAY), "tmux: server")
SHELL = Ancestor(ProcessId(4100, START - 6 * HOUR), "zsh")
DESKTOP = Ancestor(ProcessId(1400, START - 9 * DAY), "gnome-shell")

LIVING = Ties(session=4100, session_gone=False, parent_gone=False, streams=("/dev/pts/3",) * 3)
ORPHANED = Ties(session=3977, session_gone=True, parent_gone=True, streams=("/dev/pts/2 (deleted)",) * 3)

IN_SHELL = (SHELL, TMUX, SYSTEMD)
SERVICE = (SYSTEMD,)
NGINX_MASTER = Ancestor(ProcessId(1200, START - 3 * DAY), "nginx")


def person(
    pid: int,
    name: str,
    command: str,
    age_s: float,
    *,
    parents: tuple[Ancestor, ...] = IN_SHELL,
    user: str = "me",
    cwd: str | None = None,
    branch: str | None = None,
    tty: str | None = "/dev/pts/3",
    status: str = "sleeping",
    rss_mib: int = 40,
    cpu_percent: float = 0.0,
    ties: Ties = LIVING,
) -> Process:
    """One process of the demo; a folder below ~/src makes it part of the project of that name."""
    is_project = cwd is not None and "/src/" in cwd and "(deleted)" not in cwd
    return Process(
        id=ProcessId(pid, START - age_s),
        name=name,
        cmdline=tuple(command.split()),
        exe=None,
        cwd=cwd,
        user=user,
        status=status,
        ppid=parents[0].process.pid if parents else None,
        parents=parents,
        tty=tty,
        rss_bytes=rss_mib * 1024 * 1024,
        cpu_percent=cpu_percent,
        project=cwd.rpartition("/")[2] if cwd and is_project else None,
        project_path=cwd if is_project else None,
        branch=branch,
        ties=ties,
    )


API = person(
    4312, "node", "node server.js --port 3000", 2 * HOUR + 5 * MINUTE,
    cwd="/home/me/src/api", branch="feat/login", rss_mib=142, cpu_percent=2.5,
)  # fmt: skip
WEB = person(
    4401, "node", "node ./node_modules/.bin/vite --host 0.0.0.0 --port 5173", 2 * HOUR + 3 * MINUTE,
    cwd="/home/me/src/web", branch="main", tty="/dev/pts/4", rss_mib=310, cpu_percent=1.0,
)  # fmt: skip
OLD_API = person(
    5120, "python3", "python3 -m uvicorn old_api:app --port 8000", 1 * DAY + 4 * HOUR,
    parents=SERVICE, cwd="/home/me/src/old-api", branch="detached at 9f3c2d1", tty=None, rss_mib=88,
    ties=ORPHANED,
)  # fmt: skip
POSTGRES = person(
    811, "postgres", "/usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/17/main", 9 * DAY,
    parents=SERVICE, user="postgres", cwd="/var/lib/postgresql/17/main", tty=None, rss_mib=61,
)  # fmt: skip
REDIS = person(
    902, "redis-server", "/usr/bin/redis-server 127.0.0.1:6379", 9 * DAY,
    parents=SERVICE, user="redis", cwd="/var/lib/redis", tty=None, rss_mib=14, cpu_percent=0.3,
)  # fmt: skip
GUNICORN = tuple(
    person(
        pid, "gunicorn", "gunicorn shop.wsgi --workers 3 --bind 127.0.0.1:8080", 50 * MINUTE - 2 * number,
        cwd="/home/me/src/shop", branch="main", tty="/dev/pts/5", rss_mib=52,
        parents=IN_SHELL if number == 0 else (Ancestor(ProcessId(6001, START - 50 * MINUTE), "gunicorn"), *IN_SHELL),
    )
    for number, pid in enumerate((6001, 6002, 6003, 6004))
)  # fmt: skip
JAVA = person(
    7300, "java", "java -jar target/orders-2.1.jar --server.port=8081", 40 * MINUTE,
    cwd="/home/me/src/orders", branch="main", tty="/dev/pts/6", rss_mib=486, cpu_percent=0.7,
)  # fmt: skip
NGINX = tuple(
    person(pid, "nginx", "nginx: worker process", 3 * DAY, parents=(NGINX_MASTER, *SERVICE), user="www-data", tty=None)
    for pid in (1201, 1202)
)
STORYBOOK = person(
    7410, "node", "node storybook dev -p 6006", 25 * MINUTE,
    cwd="/home/me/src/café-menu", branch="ui/cards", tty="/dev/pts/7", rss_mib=220,
)  # fmt: skip
CODE = person(7010, "code", "/usr/share/code/code --type=utility", 5 * HOUR, parents=(DESKTOP, SYSTEMD), tty=None)
CHROME = person(
    7001, "chrome", "/opt/google/chrome/chrome --type=utility --utility-sub-type=network.mojom.NetworkService",
    5 * HOUR, parents=(DESKTOP, SYSTEMD), tty=None, rss_mib=190, cpu_percent=1.8,
)  # fmt: skip
PSQL = person(8300, "psql", "psql shop", 12 * MINUTE, cwd="/home/me/src/shop", branch="main", tty="/dev/pts/8")
LOOPER = person(5300, "python3", "python3 wait_for_port.py 45999", 3 * MINUTE, cwd="/home/me", tty="/dev/pts/9")
WGET = person(8400, "wget", "wget https://127.0.0.1:9443/", 20.0, cwd="/home/me", tty="/dev/pts/9")
PROBE = person(8123, "curl", "curl -s http://127.0.0.1:8000/health", 12.0, cwd="/home/me", tty="/dev/pts/9")

RESIDENTS = (
    API, WEB, OLD_API, POSTGRES, REDIS, *GUNICORN, JAVA, *NGINX, STORYBOOK, CODE, CHROME, PSQL, LOOPER, WGET, PROBE,
)  # fmt: skip

RESIDENT_IDS = frozenset(process.id for process in RESIDENTS)
