"""The hub for a class (workshop/) starts as its page says, and nobody gets what is not theirs."""

import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import psutil
import pytest
import yaml

pytest.importorskip("jupyterhub", reason="jupyterhub is not installed (pip install -e '.[hub]')")
if sys.platform != "linux":
    pytest.skip("the hub is for Linux: workshop/README.md", allow_module_level=True)

from authoring.badges import address
from authoring.bench import workshop
from workshop import link as linking

LESSON = "notebooks/01_first_call.ipynb"
PRACTICE = "http://192.168.1.10:8760"


@pytest.fixture(scope="module")
def hub(root, tmp_path_factory):
    """A running hub, started once, with a token in its environment that no learner is to see."""
    if not workshop.PROXY.exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed: the hub's proxy comes from it")
        how = {"cwd": root / "workshop", "check": True, "timeout": 300, "capture_output": True}
        subprocess.run(["npm", "ci"], **how)
    secret = {"HF_TOKEN": "hf_" + "ofTheTeacher" * 3, "COURSE_PRACTICE_URL": PRACTICE}
    with workshop.running(tmp_path_factory.mktemp("hub"), secret) as running:
        yield running
        family = psutil.Process(running.process.pid).children(recursive=True)
    ended = lambda one: not one.is_running() or one.status() == psutil.STATUS_ZOMBIE
    deadline = time.monotonic() + 60  # who was told to end does so in its own time
    while not all(map(ended, family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(family) >= 4 and all(map(ended, family))


def kernels(hub):
    family = psutil.Process(hub.process.pid).children(recursive=True)
    return [one for one in family if "ipykernel" in " ".join(one.cmdline())]


@pytest.fixture(scope="module")
def learners(hub):
    """Two learners, each with a server and a kernel, as the load driver makes them."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda name: workshop.learn(hub, name, None), ["ada", "grace"]))


def test_two_learners_get_a_server_a_kernel_and_an_answer(hub, learners):
    assert [(one.name, one.wrong) for one in learners] == [("ada", []), ("grace", [])]
    assert all(0 < one.start < 300 and one.kernel > 0 for one in learners)


def test_each_learner_finds_the_course_and_keeps_it(hub, learners):
    with hub.http() as http:
        for folder in ("notebooks", "exercises", "solutions"):
            found = http.get(f"/user/ada/api/contents/{folder}").json()["content"]
            assert any(one["name"] == "01_first_call.ipynb" for one in found), folder
        mine = {"type": "file", "format": "text", "content": "mine"}
        http.put("/user/ada/api/contents/notebooks/mine.txt", json=mine).raise_for_status()
        http.delete("/hub/api/users/ada/server").raise_for_status()
        until = time.monotonic() + 240  # it may take its time, and no new one starts meanwhile
        while http.get("/hub/api/users/ada").json()["servers"] and time.monotonic() < until:
            time.sleep(0.1)
        workshop.learn(hub, "ada", None)
        assert http.get("/user/ada/api/contents/notebooks/mine.txt").json()["content"] == "mine"
        assert http.get("/user/grace/api/contents/notebooks/mine.txt").status_code == 404


def test_servers_share_what_they_import(hub, learners):
    """Started from nothing a server has some 90 MiB of its own; forked, it has what it changed."""
    servers = [one.parent() for one in kernels(hub)]
    assert len(servers) == 2
    for server in servers:
        assert server.memory_full_info().uss / 2**20 < 60


def test_no_two_kernels_can_find_the_same_port(hub, learners):
    """Twenty that look for free ports at the same moment find the same ones; and a port is open to
    everybody here. One is left, ipykernel's own: it is bound as soon as it is found.
    """
    listening = lambda one: one.status == psutil.CONN_LISTEN
    found = [sum(map(listening, one.net_connections("tcp"))) for one in kernels(hub)]
    assert len(found) == 2 and max(found) <= 1, found


def test_the_hubs_secrets_do_not_reach_a_kernel(hub, learners):
    for kernel in kernels(hub):
        found = kernel.environ()
        assert "HF_TOKEN" not in found and "CLASS_PASSWORD" not in found
        assert found["COURSE_PRACTICE_URL"] == PRACTICE


def test_the_password_of_the_class_is_asked_for(hub):
    with hub.http() as http:
        http.headers.pop("authorization")
        page = http.get("/hub/login")
        form = {"username": "eve", "password": "not the password", "_xsrf": http.cookies["_xsrf"]}
        assert http.post("/hub/login", data=form).status_code == 403
        assert "Invalid username or password" in http.post("/hub/login", data=form).text
        assert "form" in page.text and http.get("/user/ada/api/contents").status_code in (302, 403)


def test_without_a_password_it_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="Set CLASS_PASSWORD, at least 8 characters"):
        with workshop.running(tmp_path, {"CLASS_PASSWORD": "short"}):
            pass
    assert not (tmp_path / "state").exists()


def test_the_values_for_kubernetes_say_what_they_must(root):
    values = yaml.safe_load((root / "workshop/values.yaml").read_text())
    config, user = values["hub"]["config"], values["singleuser"]
    assert config["JupyterHub"]["authenticator_class"] == "shared-password"
    # Each class sets its own.
    assert config["SharedPasswordAuthenticator"]["user_password"] == ""
    wanted = {"image", "defaultUrl", "memory", "cpu", "storage", "lifecycleHooks", "startTimeout"}
    assert wanted <= user.keys()
    assert (root / user["defaultUrl"].removeprefix("/lab/tree/")).is_file()
    size = {"M": 2**20, "G": 2**30}
    bytes_of = lambda text: int(text[:-1]) * size[text[-1]]
    assert bytes_of(user["memory"]["guarantee"]) < bytes_of(user["memory"]["limit"])
    cull = values["cull"]
    assert cull["enabled"] and cull["timeout"] > cull["every"]
    for folder in re.findall(r"/srv/course/(\w+)", str(user["lifecycleHooks"])):
        assert (root / folder).is_dir()


def test_the_link_is_well_formed(root):
    parts = urlsplit(linking.link("https://hub.example.org/", LESSON))
    asked = {name: value for name, [value] in parse_qs(parts.query, strict_parsing=True).items()}
    assert parts[:3] == ("https", "hub.example.org", "/hub/user-redirect/git-pull")
    assert asked["repo"] == address(root) and asked["branch"] == "main"
    folder = Path(urlsplit(asked["repo"]).path).name
    assert asked["urlpath"] == f"lab/tree/{folder}/{LESSON}"


@pytest.mark.parametrize(
    "hub, notebook, says",
    [
        ("hub.example.org", LESSON, "no address of a hub"),
        ("https://hub.example.org", "notebooks/10.ipynb", "there is no"),
    ],
)
def test_a_link_to_nowhere_is_refused(hub, notebook, says, capsys):
    assert linking.main([hub, notebook]) == 1 and says in capsys.readouterr().err
    assert linking.main(["https://hub.example.org"]) == 0
    assert capsys.readouterr().out.startswith("https://hub.example.org/hub/")


def test_the_driver_sees_a_wrong_output(root):
    """What the bench calls right: the same text, whatever the pictures and widgets."""
    notebook = nbformat.read(root / LESSON, as_version=4)
    printed = lambda one: (
        [output.output_type for output in one.get("outputs", [])][:1] == ["stream"]
    )
    cell = next(filter(printed, notebook.cells))
    before = workshop.said(cell)
    cell.outputs[0].text += "x"
    assert workshop.said(cell) != before

    def picture(data):
        page = f"<img src='data:image/png;base64,{data}'>"
        shown = {"text/plain": "alt", "text/html": page, "image/png": data}
        output = nbformat.v4.new_output("display_data", shown)
        return nbformat.v4.new_code_cell(outputs=[output])

    assert workshop.said(picture("AAAA")) == workshop.said(picture("BBBB"))


def test_the_driver_names_the_cells_that_differ():
    ada = workshop.Learner("ada", wrong=["cell 81"])
    grace = workshop.Learner("grace", wrong=["cell 81", "cell 3"])
    assert workshop.differing([ada, grace]) == "cell 3 (1 of 2), cell 81 (2 of 2)"
    assert workshop.differing([workshop.Learner("ada")]) == ""
