"""The assignments there are, each with its source, its checks and its rubric."""

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from course.engine.checks import Check
from course.engine.settings import Settings, SettingsError
from course.engine.source import Cell, cells_of

COURSE = Path(__file__).resolve().parent.parent
ENGINE = ("answers.py", "box.py", "cases.py", "checks.py", "driver.py", "grade.py", "needed.py", "submission.py")


@dataclass(frozen=True)
class Assignment:
    """One assignment.

    Attributes:
        name: as in ``a01``.
        folder: what holds its files.
    """

    name: str
    folder: Path

    @property
    def source(self) -> Path:
        """The one source of its notebooks."""
        return self.folder / f"{self.name}.py"

    def cells(self) -> list[Cell]:
        """The cells of the source."""
        return cells_of(self.source)

    def module(self) -> ModuleType:
        """Its ``checks.py``.

        Raises:
            SettingsError: it is not there, as in the public mirror.
        """
        if not (self.folder / "checks.py").is_file():
            raise SettingsError(f"{self.folder / 'checks.py'} is missing: grading needs the course's private half.")
        return importlib.import_module(f"course.assignments.{self.name}.checks")

    def checks(self, student: str, settings: Settings) -> Sequence[Check]:
        """The checks of one student."""
        return self.module().checks(student, settings.salt, settings.secret)

    def points(self) -> float:
        """The points for code that there are to have."""
        return float(sum(task.points for task in self.module().TASKS))

    def rubric(self) -> dict[str, Any]:
        """What a person grades: title, criteria and samples.

        Raises:
            SettingsError: a criterion lacks its question, points or levels, or its levels are not between 0 and all.
        """
        path = self.folder / "rubric.yml"
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            criteria = {key: [level["points"] for level in each["levels"]] for key, each in content["criteria"].items()}
            whole = all({"question", "points"} <= set(each) for each in content["criteria"].values())
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"{path} is no rubric: {error}.") from error
        if not whole or "title" not in content or "samples" not in content:
            raise SettingsError(f"{path} has title, criteria and samples; each criterion question, points and levels.")
        for key, points in criteria.items():
            criterion = content["criteria"][key]
            if points != sorted(points, reverse=True) or points[0] != criterion["points"] or points[-1] != 0:
                raise SettingsError(f"{path}: the levels of {key} go from {criterion['points']} down to 0.")
        return content

    def version(self, settings: Settings) -> str:
        """A hash of all that decides on points: results of another version are made anew."""
        digest = hashlib.sha256(f"{settings.salt}|{settings.secret}".encode())
        for path in [self.folder / "checks.py", *(COURSE / "engine" / name for name in ENGINE)]:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def private_paths(*named: Path) -> list[Path]:
    """What student code must not read: the secret, the checks, all that was made of them, and what else is named.

    Args:
        named: what a call names, such as the folder that was handed in.
    """
    checks = sorted((COURSE / "assignments").glob("*/checks.py"))
    return [COURSE / "course.yml", *checks, COURSE.parent / "_build" / "course", *named]


def assignments() -> dict[str, Assignment]:
    """All assignments, by name, in order."""
    folders = sorted(path for path in (COURSE / "assignments").iterdir() if (path / f"{path.name}.py").is_file())
    return {folder.name: Assignment(folder.name, folder) for folder in folders}


def assignment(name: str) -> Assignment:
    """The assignment of this name.

    Raises:
        SettingsError: there is none.
    """
    every = assignments()
    if name not in every:
        raise SettingsError(f"There is no assignment {name!r}; there are {', '.join(every)}.")
    return every[name]
