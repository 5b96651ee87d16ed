"""Pure Python for about 100 µs: so many steps as the state says."""


class Module:
    def __init__(self, state):
        self.steps = state["steps"]

    def run(self):
        total = 0
        for step in range(self.steps):
            total += step
        return total


def create(state):
    return Module(state)
