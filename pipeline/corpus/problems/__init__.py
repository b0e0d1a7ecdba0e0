"""The problems that the `sample` corpus asks about: add one to the module where it fits, and it is asked."""

from pipeline.corpus.problems import containers, language, programs, text, web, windows
from pipeline.corpus.problems.problem import Problem

__all__ = ["PROBLEMS", "Problem"]

PROBLEMS: tuple[Problem, ...] = (
    *containers.PROBLEMS,
    *text.PROBLEMS,
    *language.PROBLEMS,
    *web.PROBLEMS,
    *programs.PROBLEMS,
    *windows.PROBLEMS,
)
