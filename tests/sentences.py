"""What an error message of the book looks like."""


def one_sentence(message: object) -> str:
    """Return the message after checking that it is one line that ends as a sentence does."""
    text = str(message)
    assert "\n" not in text
    assert text.endswith(".")
    return text
