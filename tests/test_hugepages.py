"""Huge pages: borrowed beside others, each returns its own share, and what the dead took comes back."""

import os
import subprocess
from pathlib import Path

import children
import pytest

from zpmodel.base.errors import RefusedError
from zpmodel.host import hugepages, ledger

POOL = Path("/proc/sys/vm/nr_hugepages")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for huge pages"),
]


def pool() -> int:
    return int(POOL.read_text())


BORROW = "from zpmodel.host import hugepages\nloan = hugepages.borrow({pages})\nprint(loan.pages, flush=True)\n"


def borrower(pages: int, then: str) -> tuple[subprocess.Popen[str], int]:
    child = children.python(BORROW.format(pages=pages) + then, stdin=subprocess.PIPE)
    assert child.stdout is not None
    return child, int(child.stdout.readline())


@pytest.fixture
def clean():
    hugepages.settle()
    before = pool()
    yield before
    hugepages.settle()
    assert pool() == before


def test_two_at_once_each_with_its_own(clean: int) -> None:
    first, had = borrower(3, "input(); hugepages.give_back(loan)")
    second = hugepages.borrow(4)
    try:
        assert (had, second.pages) == (3, 4)
        assert hugepages.free_pages() >= 7  # not the same pages twice
        first.communicate("\n")
        assert first.returncode == 0
        assert hugepages.free_pages() >= 4  # the first to end leaves the other's
    finally:
        hugepages.give_back(second)
        first.kill()
        first.wait()
    hugepages.give_back(second)


def test_what_a_killed_one_took_comes_back_whatever_became_of_its_folder(clean: int) -> None:
    child, _ = borrower(clean + 3, "import os; os.kill(os.getpid(), 9)")
    child.communicate()
    assert child.returncode == -9
    assert pool() > clean
    loan = hugepages.borrow(0)  # the next one, with another output folder
    assert pool() == clean
    hugepages.give_back(loan)


def test_killed_between_asking_and_knowing(clean: int) -> None:
    code = """
import os
from zpmodel.host import ledger
with ledger.open_ledger() as book:
    now = int(open("/proc/sys/vm/nr_hugepages").read())
    book.write("hugepages", "x", {"needs": 2, "before": now, "asked": now + 2})
    open("/proc/sys/vm/nr_hugepages", "w").write(str(now + 2))
    os.kill(os.getpid(), 9)
"""
    children.python(code).communicate()
    assert pool() == clean + 2
    hugepages.settle()
    assert pool() == clean


def test_a_pool_that_somebody_shrank_is_not_robbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a pool of our own making: what two living borrowers took, and an administrator who shrinks it."""
    fake = tmp_path / "pool"
    fake.write_text("0")
    monkeypatch.setattr(hugepages, "_POOL", fake)
    monkeypatch.setattr(hugepages, "free_pages", lambda: int(fake.read_text()))
    monkeypatch.setattr(ledger, "_places", lambda: [tmp_path / "ledger"])
    first, second = hugepages.borrow(3), hugepages.borrow(4)
    assert (first.pages, second.pages, fake.read_text()) == (3, 4, "7")
    fake.write_text("5")
    hugepages.give_back(first)
    assert fake.read_text() == "4"  # the second's are still there
    fake.write_text("2")
    hugepages.give_back(second)
    assert fake.read_text() == "0"


def test_without_a_record_nothing_is_taken(clean: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.symlink_to(tmp_path)
    monkeypatch.setattr(ledger, "_places", lambda: [planted])
    loan = hugepages.borrow(clean + 5)
    assert (loan.pages, pool()) == (hugepages.free_pages(), clean)
    hugepages.give_back(loan)
    with pytest.raises(RefusedError, match="no record"), ledger.open_ledger():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["planted"]


def test_the_ledger_leaves_nothing_and_forgets_earlier_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ledger"
    monkeypatch.setattr(ledger, "_places", lambda: [folder])
    with ledger.open_ledger() as book:
        book.write("hugepages", "a", {"taken": 2})
        assert [debt["taken"] for debt in book.living("hugepages")] == [2]
        book.settle_dead("hugepages", lambda debt: pytest.fail("it lives"))
    assert folder.exists()
    monkeypatch.setattr(ledger, "_boot", lambda: "another")
    with ledger.open_ledger() as book:
        book.settle_dead("hugepages", lambda debt: pytest.fail("nothing is left of it"))
    assert not folder.exists()
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(RefusedError, match="somebody else"), ledger.open_ledger():
        pass
