"""How tasks weigh in a report's averages: equally within a domain, and domains equally in the overall one."""

from collections.abc import Mapping


def average_weights(suites: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return each average worth printing as task → weight, weights adding up to 1.

    Domains of several tasks come first, in order of appearance, then `overall` where there are several domains; an
    average of one thing would repeat it.

    Args:
        suites: task → the suite (domain) it belongs to.

    Returns:
        Name of the average → task → weight; empty without tasks or with one.
    """
    domains: dict[str, list[str]] = {}
    for task, suite in suites.items():
        domains.setdefault(suite, []).append(task)
    found = {suite: {task: 1 / len(tasks) for task in tasks} for suite, tasks in domains.items() if len(tasks) > 1}
    if len(domains) > 1:
        found["overall"] = {task: 1 / len(tasks) / len(domains) for tasks in domains.values() for task in tasks}
    return found
