"""What the course's tests share."""

import pytest
import torch

from course.engine import settings
from course.engine.assignments import COURSE


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Several threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def told():
    """The settings that come with the course."""
    return settings.load(COURSE / "course.yml")


@pytest.fixture
def team(tmp_path):
    """A team's folder, with an empty run.py."""
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "run.py").write_text("", encoding="utf-8")
    return folder
