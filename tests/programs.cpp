// programs NAME ARGUMENT …: runs the small program of that name.
#include "programs.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <pyhost/main.hpp>
#include <string_view>

namespace {

using namespace pyhost::test;

struct Program {
  std::string_view name;
  int (*main)(int argc, char** argv);
};

constexpr Program programs[] = {
    {"answers_texts", answers_texts},
    {"ends_python", ends_python},
    {"fault_host", fault_host},
    {"finalizes_python", finalizes_python},
    {"many_hosts", many_hosts},
    {"prints_stubs", prints_stubs},
    {"schedule_host", schedule_host},
    {"small_stack", small_stack},
    {"soak", soak},
    {"stands_in", stands_in},
    {"shares_numbers", shares_numbers},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  const auto* const found = std::ranges::find(programs, name, &Program::name);
  if (found != std::end(programs)) return found->main(argc - 1, argv + 1);
  // stands_in acts as the python binary, so Python may start this program as one.
  if (const auto code = pyhost::python_main(argc, argv)) return *code;
  std::fprintf(stderr, "no program '%s'\n", argv[argc > 1 ? 1 : 0]);
  return 2;
}
