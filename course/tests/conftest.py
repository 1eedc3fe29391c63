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
