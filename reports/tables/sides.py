"""Who is compared with whom, in the names and titles of tables about one comparison."""

from harness.findings import Comparison


def sides(comparison: Comparison) -> str:
    """Return who is compared with whom."""
    kind = " (elicited base)" if comparison.base_kind == "elicited" else ""
    return f"{comparison.candidate} against {comparison.base}{kind}"


def describe_training(comparison: Comparison) -> str:
    """Return the measured domains that a candidate was trained on, or why there are none."""
    if comparison.transfer.trained_on:
        return ", ".join(comparison.transfer.trained_on)
    return "none of these" if knows_training(comparison) else "not known"


def knows_training(comparison: Comparison) -> bool:
    """Say whether it is known what the candidate was trained on."""
    return all(domain.is_trained is not None for domain in comparison.domains)


def table_title(comparison: Comparison, what: str) -> str:
    """Return the title of a table about one comparison, which tells what is shown behind who is compared."""
    return f"{sides(comparison)}: {what}"


def table_name(what: str, comparison: Comparison, *more: str) -> str:
    """Return the name of a table about one comparison."""
    first = f"elicited-{what}" if comparison.base_kind == "elicited" else what
    return "-".join([first, comparison.candidate, *more])
