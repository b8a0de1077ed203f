"""An owner's dataset: 12 rows in two wordings."""

SALT = b"0123456789abcdef0123456789abcdef"
ROWS = 12


def row(i: int) -> dict:
    """A row whose columns stand in an order of the owner's own; no two rows are near-duplicates."""
    return {
        "id": i,
        "question": f"What does the ferry to island{i} cost?",
        "source": f"page {i // 2}",
        "answer": f"To island{i} it is {i + 10} crowns, harbour{i} sells the tickets.",
        "answer2": f"Buy one at harbour{i}: going over to island{i} costs {i + 10} crowns.",
    }


def without(record: dict, *columns: str) -> dict:
    return {name: value for name, value in record.items() if name not in columns}
