// The commands, one function each. They return the exit code.
#pragma once

namespace pyhost::cli {

struct CheckArguments;
struct DoctorArguments;
struct ListArguments;
struct MapArguments;
struct NewArguments;
struct RunArguments;
struct ScheduleRunArguments;
struct ScheduleTickArguments;

int check(const CheckArguments& arguments);
int doctor(const DoctorArguments& arguments);
int list(const ListArguments& arguments);
int map(const MapArguments& arguments);
int new_module(const NewArguments& arguments);
int run(const RunArguments& arguments);
int schedule_run(const ScheduleRunArguments& arguments);
int schedule_tick(const ScheduleTickArguments& arguments);
int stubs();

}  // namespace pyhost::cli
