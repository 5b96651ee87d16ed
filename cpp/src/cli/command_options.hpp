// The options that several commands share. CLI11 takes long to compile, so all files that include it are
// compiled as one unit.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/command_line.hpp"

namespace pyhost::cli {

inline constexpr const char* module_paths_note =
    "Without -m, modules are searched in ./python_modules, in . if it contains a folder modules, and\n"
    "among the modules that ship with pyhost.\n\n";

/// `more` is added to the option's help.
void add_module_name(CLI::App& command, std::string& name, const std::string& more = "");
void add_parameters(CLI::App& command, std::vector<std::string>& parameters, const std::string& state);
void add_module_paths(CLI::App& command, std::vector<std::string>& paths);
void add_host_arguments(CLI::App& command, HostArguments& arguments);
void add_log_arguments(CLI::App& command, LogArguments& arguments);
void add_trace(CLI::App& command, std::string& file);
void add_json(CLI::App& command, bool& json, const std::string& text);
CLI::Validator is_one_of(std::vector<std::string> words);

/// Adds `pyhost schedule` with its commands.
void add_schedule(CLI::App& program, CommandLine& result);

/// Adds a command without options. If the command line names it, its arguments are stored in `result`.
template <class Arguments>
std::pair<CLI::App&, Arguments&> add_command(CLI::App& program, CommandLine& result, const char* name,
                                             const char* description) {
  CLI::App* command = program.add_subcommand(name, description);
  const auto arguments = std::make_shared<Arguments>();
  command->callback([&result, name, arguments] {
    result.command = name;
    result.arguments = *arguments;
  });
  return {*command, *arguments};
}

}  // namespace pyhost::cli
