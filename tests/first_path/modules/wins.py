class Module:
    def run(self):
        return "first"


def create(state):
    return Module()
