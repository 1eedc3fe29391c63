"""The workflows say what this repository has: its commands, its files, the Pythons and libraries that it supports."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tools import versions
from tools.notebooks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"]]
PIN = re.compile(r"^([\w.-]+)==([\w.]+)$", flags=re.MULTILINE)

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


def triggers(name):
    return workflow(name)[True]  # YAML takes the key `on` for a truth value


def jobs(name):
    """The jobs of a workflow that have steps of their own."""
    return {key: job for key, job in workflow(name)["jobs"].items() if "uses" not in job}


def commands(name):
    """What the steps of a workflow run."""
    return "\n".join(step["run"] for job in jobs(name).values() for step in job["steps"] if "run" in step)


def pythons(name):
    """The versions of Python that a workflow names."""
    for job in jobs(name).values():
        matrix = job.get("strategy", {}).get("matrix", {})
        yield from matrix.get("python", [])
        yield from (entry["python"] for entry in matrix.get("include", []))
        for step in job["steps"]:
            version = step.get("with", {}).get("python-version", "")
            if not str(version).startswith("${{"):
                yield from filter(None, [version])


@every_workflow
def test_every_job_has_a_limit_and_no_rights_that_it_does_not_need(path):
    assert workflow(path.stem)["permissions"] == {"contents": "read"}
    for name, job in jobs(path.stem).items():
        assert 0 < job["timeout-minutes"] <= 240, name
    given = {name for name, job in jobs(path.stem).items() if "permissions" in job}
    assert given == {"publish": {"publish"}, "release": {"release"}}.get(path.stem, set())


@every_workflow
def test_its_commands_are_the_repository_s(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    run = commands(path.stem)
    assert set(re.findall(r"\b(?:make|python -m tools) ([a-z]+)", run)) <= set(targets.split())
    for module in re.findall(r"\bpython -m tools\.(\w+)", run):
        assert (ROOT / "tools" / f"{module}.py").is_file()


@every_workflow
def test_its_paths_are_there(path):
    watched = (triggers(path.stem).get("push") or {}).get("paths", [])
    named = re.findall(
        r"(?<![\w/.$-])((?:tests|tools|notebooks|book|\.github)(?:/[\w.-]+)*)(?![\w/*-])", commands(path.stem)
    )
    words = {"book", "tools"}  # names of commands as well
    missing = [name for name in {*watched, *named} - words if not (ROOT / name).exists()]
    assert not missing
    for job in workflow(path.stem)["jobs"].values():
        assert (ROOT / job.get("uses", ".")).exists()


@every_workflow
def test_its_pythons_are_supported(path):
    for version in pythons(path.stem):
        assert isinstance(version, str), f"{version} is a number to YAML: quote it"
        assert version in SpecifierSet(PROJECT["requires-python"])


@every_workflow
def test_its_schedule_is_one(path):
    for entry in triggers(path.stem).get("schedule", []):
        assert re.fullmatch(r"\d{1,2} \d{1,2} (\*|\d{1,2}) \* (\*|[0-6])", entry["cron"])


def test_what_is_tested_everywhere_is_the_package():
    assert set(pythons("test")) >= {PROJECT["requires-python"].removeprefix(">="), "3.14"}
    for part in versions.PACKAGE:
        assert part in commands("test").split()
        assert part in commands("versions").split()


def test_other_versions_are_those_of_the_command():
    (job,) = jobs("versions").values()
    stated = {entry["name"]: entry["python"] for entry in job["strategy"]["matrix"]["include"]}
    assert stated == {name: chosen.python for name, chosen in versions.VERSIONS.items()}
    assert {name for name in ("versions", "full", "links") if "schedule" in triggers(name)} == {
        "versions",
        "full",
        "links",
    }


def test_what_is_published_has_passed_the_tests():
    assert triggers("publish")["workflow_run"] == {"workflows": [workflow("test")["name"]], "types": ["completed"]}
    (job,) = jobs("publish").values()
    assert "github.event.workflow_run.conclusion == 'success'" in job["if"]
    assert workflow("release")["jobs"]["release"]["needs"] == "test"
    assert "workflow_call" in triggers("test")


def test_the_badge_is_that_of_the_tests():
    assert "actions/workflows/test.yml/badge.svg" in (ROOT / "tools" / "repository.py").read_text(encoding="utf-8")


def test_the_release_and_its_citation_are_of_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]


@pytest.mark.parametrize("file", ["requirements.txt", ".github/constraints-colab.txt"])
def test_pinned_versions_are_within_the_package_s_ranges(file):
    pins = dict(PIN.findall((ROOT / file).read_text(encoding="utf-8")))
    ranges = {Requirement(line).name: Requirement(line).specifier for line in DEPENDENCIES}
    both = pins.keys() & ranges.keys()
    assert len(both) >= 9
    assert [name for name in both if not ranges[name].contains(pins[name])] == []


def test_every_library_has_a_lowest_version():
    for line in DEPENDENCIES:
        assert [part.operator for part in Requirement(line).specifier] == [">="], line
