"""The host from the article, unchanged, and a loop around it whose cost is negligible."""


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
