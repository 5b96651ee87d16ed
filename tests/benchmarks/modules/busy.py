"""Runs a loop of state["steps"] steps in pure Python; 1,500 take about 100 µs."""


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
