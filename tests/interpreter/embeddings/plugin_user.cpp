// An application that does with plug-ins what its arguments say, in this order. Each argument is the number
// of a plug-in and an action: plugin_user FOLDER ACTION …
//   load0 open0 run0 close0 unload0, and load1 …; the folder has hidden_plugin_0.so and the others.
// open0 has the module path FOLDER/0, and run0 runs the module `tool`. All of it happens on a thread that
// ends before the process does, except for unloading.
#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <thread>

namespace {

std::array<void*, 2> plugins{};

template <class... Arguments>
void call(void* plugin, const char* name, Arguments... arguments) {
  reinterpret_cast<void (*)(Arguments...)>(dlsym(plugin, name))(arguments...);
}

void act(const std::string& argument, const std::string& folder) {
  const std::string number(1, argument.back());
  const std::string action = argument.substr(0, argument.size() - 1);
  void*& plugin = plugins.at(static_cast<std::size_t>(number[0] - '0'));
  if (action == "load") {
    plugin = dlopen((folder + "/hidden_plugin_" + number + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) std::puts(dlerror());
  } else if (action == "open") {
    call(plugin, "open_host", (folder + "/" + number).c_str());
  } else if (action == "run") {
    call(plugin, "run_module", "tool");
  } else if (action == "close") {
    call(plugin, "close_host");
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  for (int i = 2; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument.rfind("unload", 0) == 0) {
      dlclose(plugins.at(static_cast<std::size_t>(argument.back() - '0')));
    } else {
      std::thread(act, argument, std::string(arguments[1])).join();
    }
  }
  std::puts("main returns");
  return 7;
}
