"""What `startgateway` would write, and does not where it would spoil something."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcly_channels.management.scaffold import Scaffold


@pytest.mark.parametrize("name", ["gateways.py", "test_chat_gateway.py"])
def test_module_that_is_there_is_neither_hidden_nor_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "urls.py").touch()
    with pytest.raises(FileExistsError, match=name):
        Scaffold("chat", "mysite", "mysite").changes(
            tmp_path, tmp_path / "urls.py", tmp_path / "urls.py"
        )
