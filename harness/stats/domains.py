"""How tasks weigh in a report's averages: equally within a domain; domains or tasks equally in the overall one."""

from collections.abc import Mapping
from typing import Literal

Overall = Literal["domains", "tasks"]
"""What an average over several domains weighs equally."""


def task_weights(suites: Mapping[str, str], overall: Overall = "domains") -> dict[str, float]:
    """Return the weight of each task in an average over all of them, adding up to 1.

    Args:
        suites: task → the suite (domain) it belongs to.
        overall: `domains` gives each domain the same weight and each of its tasks a share of it; `tasks` gives each
            task the same.

    Returns:
        Task → weight; empty without tasks.
    """
    if overall == "tasks":
        return {task: 1 / len(suites) for task in suites}
    names = list(suites.values())
    return {task: 1 / len(set(names)) / names.count(suite) for task, suite in suites.items()}


def average_weights(suites: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return each average worth printing as task → weight, weights adding up to 1.

    Domains of several tasks come first, in order of appearance, then `overall` where there are several domains; an
    average of one thing would repeat it.

    Args:
        suites: task → the suite (domain) it belongs to.

    Returns:
        Name of the average → task → weight; empty without tasks or with one.
    """
    names = list(dict.fromkeys(suites.values()))
    members = {name: {task: suite for task, suite in suites.items() if suite == name} for name in names}
    found = {name: task_weights(tasks) for name, tasks in members.items() if len(tasks) > 1}
    return {**found, "overall": task_weights(suites)} if len(names) > 1 else found
