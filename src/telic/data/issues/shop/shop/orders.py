"""Orders as they come in by mail."""


def parse_quantity(text):
    """Read a quantity, such as '12'."""
    return int(text.strip())


def parse_order(line):
    """Read a line of an order: an article, a semicolon and a quantity."""
    article, quantity = line.split(";")
    return article.strip(), parse_quantity(quantity)
