class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        return self.state


def create(state):
    return Module(state)
