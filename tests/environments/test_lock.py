from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.environments.lock import content_hash, lock_hash, normalise

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}", fullmatch=True)
LOCKS = st.dictionaries(NAMES, VERSIONS, min_size=1, max_size=8)


def lines(lock: dict[str, str]) -> list[str]:
    return [f"{name}=={version}" for name, version in lock.items()]


@given(LOCKS, st.randoms(use_true_random=False))
def test_order_comments_and_line_ends_do_not_count(lock: dict[str, str], random: object) -> None:
    plain = lines(lock)
    mixed = [f"{line}  # via {i}" for i, line in enumerate(plain)]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    noisy = "# made by a tool\r\n\r\n" + "\r\n".join(mixed)
    assert lock_hash(noisy) == lock_hash("\n".join(plain))


@given(LOCKS, LOCKS)
def test_hashes_are_equal_exactly_for_equal_locks(
    one: dict[str, str], other: dict[str, str]
) -> None:
    same = lock_hash("\n".join(lines(one))) == lock_hash("\n".join(lines(other)))
    assert same == (one == other)


def test_python_platform_extras_and_content_of_wheels_count() -> None:
    text = "six==1.17.0\nfoo @ file:///models/a/foo.whl"
    base = lock_hash(text, "3.11.7", "linux-x86_64", {"/models/a/foo.whl": "sha256:1"}, ["uvloop"])
    others = [
        lock_hash(text, "3.11.8", "linux-x86_64", {"/models/a/foo.whl": "sha256:1"}, ["uvloop"]),
        lock_hash(text, "3.11.7", "linux-aarch64", {"/models/a/foo.whl": "sha256:1"}, ["uvloop"]),
        lock_hash(text, "3.11.7", "linux-x86_64", {"/models/a/foo.whl": "sha256:2"}, ["uvloop"]),
        lock_hash(text, "3.11.7", "linux-x86_64", {"/models/a/foo.whl": "sha256:1"}, []),
    ]
    assert base not in others
    assert len(set(others)) == len(others)


def test_where_a_wheel_lies_does_not_count() -> None:
    here, there = "/models/a/foo.whl", "/models/bb/foo.whl"
    assert lock_hash(here, files={here: "sha256:1"}) == lock_hash(there, files={there: "sha256:1"})


def test_case_of_names_does_not_count_but_of_paths_does() -> None:
    assert normalise("PyYAML==6.0") == normalise("pyyaml==6.0")
    assert normalise("/models/A/x.whl") != normalise("/models/a/x.whl")


def test_content_hash_follows_content_and_names(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "a.py").write_text("x = 1")
    assert content_hash(one) == content_hash(other)
    (other / "sub" / "a.py").rename(other / "sub" / "b.py")
    assert content_hash(one) != content_hash(other)
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"1")
    before = content_hash(wheel)
    wheel.write_bytes(b"2")
    assert content_hash(wheel) != before
