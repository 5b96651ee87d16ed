// The commands, one function each. They return the exit code.
#pragma once

namespace pyhost::cli {

struct CheckArguments;
struct DoctorArguments;
struct ListArguments;
struct MapArguments;
struct NewArguments;
struct RunArguments;

int check(const CheckArguments& arguments);
int doctor(const DoctorArguments& arguments);
int list(const ListArguments& arguments);
int map(const MapArguments& arguments);
int new_module(const NewArguments& arguments);
int run(const RunArguments& arguments);
int stubs();

}  // namespace pyhost::cli
