"""A JupyterHub for one machine and one class; README.md beside this file says how to start it.

    CLASS_PASSWORD        what learners log in with, under any name; at least 8 characters
    INSTRUCTOR_PASSWORD   the same for the user `instructor`, who sees and stops everybody's server;
                          at least 32 characters
    COURSE_MODE, COURSE_PRACTICE_URL    passed on to the learners, if set; nothing else is, above
                          all no HF_TOKEN
    HUB_STATE             folder for the learners' homes and the hub's database; default: .hub in
                          the course's folder

All servers run as the user who starts the hub: learners who want to can read each other's files.
Use a machine that holds nothing else, or values.yaml, where every learner has a container.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

COURSE = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("HUB_STATE") or COURSE / ".hub")
CONTENT = ("notebooks", "exercises", "solutions")

sys.path.insert(0, str(COURSE / "workshop"))
from spawner import ForkingSpawner, warm_up  # noqa: E402

c = get_config()  # noqa: F821 (JupyterHub gives it to this file)
if len(os.environ.get("CLASS_PASSWORD", "")) < 8:
    sys.exit("Set CLASS_PASSWORD, at least 8 characters: learners log in with it.")
STATE.mkdir(mode=0o700, parents=True, exist_ok=True)

c.JupyterHub.bind_url = "http://:8000"
c.JupyterHub.db_url = f"sqlite:///{STATE / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(STATE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(STATE / "proxy.pid")
c.ConfigurableHTTPProxy.command = [
    str(COURSE / "workshop/node_modules/.bin/configurable-http-proxy")
]

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["CLASS_PASSWORD"]
c.Authenticator.allow_all = True
if os.environ.get("INSTRUCTOR_PASSWORD"):
    c.Authenticator.admin_users = {"instructor"}
    c.SharedPasswordAuthenticator.admin_password = os.environ["INSTRUCTOR_PASSWORD"]

c.JupyterHub.spawner_class = ForkingSpawner
c.SimpleLocalProcessSpawner.home_dir_template = str(STATE / "homes/{username}")
c.Spawner.args = [
    # Neither is used in this course, and each is imported by every server.
    "--ServerApp.jpserver_extensions={'jupyter_lsp': False, 'notebook_shim': False}",
    "--LabApp.extension_manager=readonly",
    # Over TCP each server looks for free ports by itself, and when twenty kernels start at once
    # some find the same.
    "--KernelManager.transport=ipc",
    *(["--allow-root"] if os.geteuid() == 0 else []),
]
c.Spawner.default_url = "/lab/tree/notebooks/01_first_call.ipynb"
c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL", "COURSE_MODE", "COURSE_PRACTICE_URL"]
# Those sockets are files, whose paths must be short.
sockets = tempfile.mkdtemp(prefix="hub-")
atexit.register(shutil.rmtree, sockets, ignore_errors=True)
c.Spawner.environment = {"JUPYTER_RUNTIME_DIR": lambda spawner: f"{sockets}/{spawner.user.name}"}
c.Spawner.start_timeout = c.Spawner.http_timeout = (
    300  # when thirty people log in at once, the last one waits longest
)
c.JupyterHub.concurrent_spawn_limit = (
    0  # the default turns away those who come too fast, and they would have to try again
)

c.JupyterHub.services = [
    {"name": "idle", "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=7200"]}
]
c.JupyterHub.load_roles = [
    {
        "name": "idle",
        "services": ["idle"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]


def bring_the_course(spawner):
    """Copy the notebooks into a new learner's home; what is there already is the learner's, and
    stays."""
    for folder in CONTENT:
        home = Path(spawner.home_dir) / folder
        if not home.exists():
            shutil.copytree(
                COURSE / folder,
                home,
                ignore=shutil.ignore_patterns(".ipynb_checkpoints", "progress*.json"),
            )


c.Spawner.pre_spawn_hook = bring_the_course
warm_up()
