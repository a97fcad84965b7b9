"""The command line in this process, for tests of what a command does and says: a process of its own takes a second."""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zpmodel.commands.main import main


def run(*arguments: object, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as ``subprocess.run`` would; its output goes to files, as on a full disk `main` turns it elsewhere.

    Programs that it starts itself write where the tests do.
    """
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        with said[0].open("w") as out, said[1].open("w") as err, pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd or Path.cwd())
            patch.setattr(sys, "argv", ["zpmodel", *words])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *(path.read_text() for path in said))
