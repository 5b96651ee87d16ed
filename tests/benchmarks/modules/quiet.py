class Module:
    def __init__(self, state):
        self.state = state

    def run(self):
        pass


def create(state):
    return Module(state)
