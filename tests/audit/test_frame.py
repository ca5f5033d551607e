"""What all prompts begin or end with is told apart from what they ask."""

from harness.audit.frame import find_frame


def framed(count: int) -> list[tuple[str, ...]]:
    """Return prompts in one frame, as words."""
    return [("solve", "this", str(number), "+", "1", "step", "by", "step") for number in range(count)]


def test_the_frame_is_what_all_share() -> None:
    """Beginning and end are found; stripped of one or both, the question is left."""
    frame = find_frame(framed(30))
    assert (frame.before, frame.after) == (("solve", "this"), ("+", "1", "step", "by", "step"))
    assert frame.strip(("solve", "this", "7", "+", "1", "step", "by", "step")) == (
        ("solve", "this", "7"),
        ("7",),
        ("7", "+", "1", "step", "by", "step"),
    )
    assert frame.describe() == "begin “solve this” and end “+ 1 step by step”"


def test_other_texts_are_left_alone() -> None:
    """Nothing is taken off a text without the frame, and of the frame alone nothing is left."""
    frame = find_frame(framed(30))
    assert frame.strip(("what", "is", "7")) == ()
    assert frame.strip(("solve", "this", "7")) == (("7",),)
    assert frame.strip((*frame.before, *frame.after)) == (frame.before, frame.after)


def test_few_prompts_have_no_frame() -> None:
    """What fewer than 20 different prompts share may be their subject."""
    assert find_frame(framed(19)).describe() == ""
    assert find_frame(framed(5) * 10).describe() == ""
