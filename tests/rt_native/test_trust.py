"""What another user could have written is not run: owner and mode, from the file up to the root."""

import os
import shlex
import struct
import subprocess
from pathlib import Path

import pytest

from rt_native.cache import cache_folder
from rt_native.errors import NotBuiltError, UnsafeCacheError
from rt_native.library import Library
from rt_native.trust import judged, unsafe, why_not_run

SOMEBODY = 54321


def _run(command):
    """What a person would do with the words behind "mend it with: "."""
    subprocess.run(shlex.split(command.removeprefix("sudo ")), check=True)


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A library that is built, in a cache of its own below a folder of ours."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "ours" / "cache"))
    (tmp_path / "sample_native.py").write_text(
        "from rt_native.lang import export\n\n@export\ndef answer(x):\n    return x + 1\n"
    )

    def make():
        return Library("sample", ("sample_native",), path=(str(tmp_path),))

    make().build()
    return make


def test_what_is_built_is_trusted_whatever_the_mask(tmp_path, monkeypatch):
    """A mask that lets everybody write makes no object that is refused."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sample_native.py").write_text(
        "from rt_native.lang import export\n\n@export\ndef answer(x):\n    return x\n"
    )
    before = os.umask(0)
    try:
        assert Library("sample", ("sample_native",), path=(str(tmp_path),)).function("answer")(3) == 3
    finally:
        os.umask(before)


@pytest.mark.parametrize("where", ["ours/cache", "ours"])
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_others_may_write_is_refused_until_it_is_mended(sample, tmp_path, where, mode):
    """The cache, or a folder above it; a sticky one above is as good as /tmp, the cache itself must not be one."""
    (tmp_path / where).chmod(mode)
    if (where, mode) == ("ours", 0o1777):
        assert sample().function("answer")(1) == 2
        return
    with pytest.raises(UnsafeCacheError, match="can be written by everybody; mend it with: chmod go-w") as refused:
        sample().function("answer")
    _run(str(refused.value).rpartition("mend it with: ")[2])
    assert sample().function("answer")(1) == 2


@pytest.mark.parametrize("suffix", [".o", ".json"])
def test_a_file_that_others_may_write_is_refused_until_it_is_removed(sample, suffix):
    """Its content may be anybody's: it is compiled again, by the command that the message gives."""
    [path] = sample().objects().values()
    path.with_suffix(suffix).chmod(0o666)
    with pytest.raises(UnsafeCacheError, match="can be written by everybody; remove it") as refused:
        sample().function("answer")
    _run(str(refused.value).rpartition("compiled again: ")[2])
    assert sample().function("answer")(1) == 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["ours", "ours/cache", "object"])
def test_what_another_user_owns_is_refused(sample, tmp_path, place):
    """Also when he may not write it now: he can change that."""
    [path] = sample().objects().values()
    owned = path if place == "object" else tmp_path / place
    os.chown(owned, SOMEBODY, -1)
    with pytest.raises(UnsafeCacheError, match=f"is owned by user {SOMEBODY}") as refused:
        sample().function("answer")
    if place == "ours":  # it may be his home: it stays his
        assert "chown" not in str(refused.value)
        return
    _run(str(refused.value).rpartition("again: " if place == "object" else "mend it with: ")[2])
    assert sample().function("answer")(1) == 2


def test_nothing_is_compiled_into_a_cache_that_others_may_write(sample, tmp_path):
    """A lock file or an object there could be a link to another place."""
    for path in cache_folder().iterdir():
        path.unlink()
    cache_folder().chmod(0o777)
    with pytest.raises(UnsafeCacheError, match="mend it with"):
        sample().build()
    assert not list(cache_folder().iterdir())


@pytest.mark.parametrize(
    ("owner", "mode", "strict", "is_above", "why"),
    [
        ("us", 0o755, True, True, ""),
        ("root", 0o755, True, True, ""),
        ("root", 0o1777, True, True, ""),
        ("root", 0o1777, True, False, "can be written by everybody"),
        ("us", 0o775, True, True, "can be written by its group"),
        ("us", 0o775, False, True, ""),
        ("us", 0o777, False, True, "can be written by everybody"),
        ("somebody", 0o755, True, True, f"is owned by user {SOMEBODY}"),
        ("somebody", 0o1777, True, True, f"is owned by user {SOMEBODY}"),
        ("somebody", 0o755, False, True, ""),
    ],
)
def test_owner_and_mode(owner, mode, strict, is_above, why, tmp_path):
    """Every case: who owns it, what the mode says, whose code it is."""
    uid = {"us": os.geteuid(), "root": 0, "somebody": SOMEBODY}[owner]
    status = os.stat_result((mode, 0, 0, 1, uid, SOMEBODY, 0, 0, 0, 0))
    found = judged(tmp_path, status, strict, is_above)
    assert (found.why if found else "") == why


@pytest.mark.parametrize(
    ("name", "members", "good"),
    [("kim", [], True), ("kim", ["kim"], True), ("kim", ["lee"], False), ("all", [], False)],
)
def test_a_group_of_one_is_no_other_user(name, members, good, tmp_path, monkeypatch):
    """Many systems give each user a group of his own, and let it write what he makes."""
    monkeypatch.setattr("pwd.getpwuid", lambda _: type("User", (), {"pw_name": "kim"}))
    monkeypatch.setattr("grp.getgrgid", lambda _: type("Group", (), {"gr_name": name, "gr_mem": members}))
    status = os.stat_result((0o775, 0, 0, 1, os.geteuid(), SOMEBODY, 0, 0, 0, 0))
    assert (judged(tmp_path, status) is None) == good


def test_where_a_link_leads_is_looked_at(tmp_path):
    """A cache behind a link is what the link leads to."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "cache").symlink_to("open")
    assert unsafe(tmp_path / "cache").path == tmp_path / "open"


def test_where_nothing_may_be_compiled_the_message_says_what_to_do_first(sample, tmp_path, monkeypatch):
    """The start of a service: what is compiled is used, what is not ends it with the command that compiles."""
    monkeypatch.setenv("RT_ENGINE_COMPILE", "never")
    assert sample().function("answer")(1) == 2
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "empty"))
    with pytest.raises(NotBuiltError, match=f"{tmp_path}/empty.*rt-engine kernels"):
        sample().build()
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"RT_ENGINE_CACHE": "/a", "CACHE_DIRECTORY": "/b", "XDG_CACHE_HOME": "/c"}, "/a"),
        ({"CACHE_DIRECTORY": "/b:/other", "XDG_CACHE_HOME": "/c"}, "/b/rt-engine"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/rt-engine"),
        ({"HOME": "HERE"}, "HERE/.cache/rt-engine"),
        ({"HOME": "/nonexistent"}, f"/tmp/rt-engine-cache-{os.getuid()}"),
    ],
)
def test_where_the_cache_is(variables, folder, tmp_path, monkeypatch):
    """The first that there is; a user without a home has a folder of his own in /tmp."""
    for name in ("RT_ENGINE_CACHE", "CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("HERE", str(tmp_path)))
    assert str(cache_folder()) == folder.replace("HERE", str(tmp_path))


def test_whose_code_is_run(tmp_path, monkeypatch):
    """A step of somebody else is run by a user who chose it, not by root; one that everybody may write by nobody."""
    code = tmp_path / "step.py"
    code.write_text("")
    assert why_not_run(code) == why_not_run(tmp_path / "none.py") == ""
    code.chmod(0o664)
    monkeypatch.setattr("rt_native.trust._is_private", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    assert why_not_run(code) == ""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert f"chmod g-w {code}" in why_not_run(code) or "chown root" in why_not_run(code)
    code.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    assert why_not_run(code).endswith(f"can be written by everybody; mend it with: sudo chmod go-w {code}")


def test_an_access_control_list_is_no_private_group(tmp_path, monkeypatch):
    """With one the mode's group bits are the rights of whomever it names, also where the group is ours alone."""
    monkeypatch.setattr("rt_native.trust._is_private", lambda *_: True)
    path = tmp_path / "step.py"
    path.write_text("")
    path.chmod(0o664)
    assert judged(path, path.stat()) is None
    entries = (
        (1, 6, -1),
        (2, 6, SOMEBODY),
        (4, 4, -1),
        (0x10, 6, -1),
        (0x20, 4, -1),
    )  # user, one more, group, mask, others
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError:
        pytest.skip("a file system without access control lists")
    found = judged(path, path.stat())
    assert "access control list" in found.why
    _run(found.mend)
    assert judged(path, path.stat()) is None


def test_nobody_is_advised_to_take_a_folder_from_its_owner(tmp_path):
    """Root, with a file in a user's home: what would be his no longer is the file, never the folders above."""
    status = os.stat_result((0o755, 0, 0, 1, SOMEBODY, SOMEBODY, 0, 0, 0, 0))
    assert "chown" in judged(tmp_path, status).mend
    assert "chown" not in judged(tmp_path, status, is_above=True).mend


@pytest.mark.parametrize(
    ("rows", "is_believed"), [("0 1000 1\n", True), ("0 0 4294967295\n", False), ("0 1000 1\n1 100000 65536\n", False)]
)
def test_in_a_namespace_of_one_user_what_lies_above_may_be_the_real_roots(rows, is_believed, tmp_path):
    """Its folders seem to be those of the overflow user there: / and /home too. Nowhere else is that user believed."""
    from rt_native import trust

    (tmp_path / "uid_map").write_text(rows)
    found = trust._outside(str(tmp_path / "uid_map"))
    assert found == (int(Path("/proc/sys/kernel/overflowuid").read_text()) if is_believed else None)
    assert trust._outside(str(tmp_path / "nothing")) is None
