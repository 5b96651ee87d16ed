// The small programs that tests start. They are one executable, so that it is compiled and linked once.
#pragma once

namespace pyhost::test {

int answers_texts(int argc, char** argv);
int ends_python(int argc, char** argv);
int fault_host(int argc, char** argv);
int finalizes_python(int argc, char** argv);
int many_hosts(int argc, char** argv);
int prints_stubs(int argc, char** argv);
int schedule_host(int argc, char** argv);
int shares_numbers(int argc, char** argv);
int small_stack(int argc, char** argv);
int soak(int argc, char** argv);
int stands_in(int argc, char** argv);

}  // namespace pyhost::test
