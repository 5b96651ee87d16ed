"""The article's host, as it stands there, and a loop around it that costs next to nothing."""


def run_module(module_name):
    name = "modules." + module_name
    mod = __import__(name, fromlist=[""])
    obj = mod.create({})
    obj.run()


def run_many(module_name, times):
    for _ in range(times):
        run_module(module_name)


if __name__ == "__main__":
    run_module("mod1")
