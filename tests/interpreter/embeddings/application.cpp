// An application that loads a plug-in by RTLD_LOCAL, so that other libraries do not see its symbols.
#include <dlfcn.h>

#include <cstdio>

int main(int /*argc*/, char** argv) {
  void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 2;
  const auto run = reinterpret_cast<int (*)(const char*, const char*, const char*)>(dlsym(plugin, "run"));
  return run(argv[2], argv[3], argv[4]);
}
