// plugin_user FOLDER ACTION …: an application that loads, uses and unloads plug-ins in the order of its
// arguments. An action is a verb and the number of a plug-in: load0, open0, run0, close0, unload0, load1, and
// so on. FOLDER holds hidden_plugin_0.so and so on. open0 opens a host with the module path FOLDER/0. run0
// runs the module `tool`. Plug-ins are unloaded on the main thread. All other actions run on a thread that
// ends before the process.
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
