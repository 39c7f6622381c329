"""verl's own main, on data that the run could not use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.recipes import rows, write


def test_broken_data_end_with_code_two_and_one_line_before_ray_starts(tmp_path: Path) -> None:
    broken = rows()
    broken[1]["prompt"] = []
    write(tmp_path / "broken.parquet", broken)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "verl.trainer.main_ppo"),
            *("+sparft=sparft", "data.train_files=broken.parquet"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert re.match(r"sparft: error: broken\.parquet, row 1\b.*prompt", line)
    assert "Traceback" not in done.stderr
    assert "ray" not in done.stdout.lower()
