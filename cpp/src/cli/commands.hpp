// The commands, one function each. They return the exit code.
#pragma once

namespace pyhost::cli {

struct CheckArguments;
struct DoctorArguments;
struct ListArguments;
struct MapArguments;
struct NewArguments;
struct RunArguments;
struct ScheduleCheckArguments;
struct ScheduleHistoryArguments;
struct ScheduleListArguments;
struct SchedulePauseArguments;
struct ScheduleRunArguments;
struct ScheduleTickArguments;
struct ScheduleTriggerArguments;

int check(const CheckArguments& arguments);
int doctor(const DoctorArguments& arguments);
int list(const ListArguments& arguments);
int map(const MapArguments& arguments);
int new_module(const NewArguments& arguments);
int run(const RunArguments& arguments);
int schedule_check(const ScheduleCheckArguments& arguments);
int schedule_history(const ScheduleHistoryArguments& arguments);
int schedule_list(const ScheduleListArguments& arguments);
int schedule_pause(const SchedulePauseArguments& arguments);
int schedule_run(const ScheduleRunArguments& arguments);
int schedule_tick(const ScheduleTickArguments& arguments);
int schedule_trigger(const ScheduleTriggerArguments& arguments);
int stubs();

}  // namespace pyhost::cli
