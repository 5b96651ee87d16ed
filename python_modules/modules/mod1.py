"""Prints that it is doing its thing. The smallest possible module."""

# As in the article, without types:
# mypy: allow-untyped-defs, allow-untyped-calls


class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        print("This is module1 doing its thing")


def create(state):
    return Module(state)
