// The loop of `pyhost map`. One thread reads states and submits them to a pool, and the main thread writes
// the results.
#pragma once

#include <atomic>
#include <string>

namespace pyhost {
class Host;
class Pool;
struct MapOptions;
}  // namespace pyhost

namespace pyhost::cli {

class CloseErrors;
class Progress;
class ResultStream;
class Signals;
class States;
struct MapArguments;

/// The hint how to resume a mapping that did not finish.
class ResumeHint {
 public:
  /// `name` is the name of the output in the hint.
  ResumeHint(const std::string& name, const ResultStream& output, Progress& progress)
      : name_(name), output_(output), progress_(progress) {}

  /// Prints the hint at the first call. Thread: any.
  void print();

 private:
  const std::string& name_;
  const ResultStream& output_;
  Progress& progress_;
  std::atomic<bool> printed_ = false;
};

/// The objects that a mapping uses. The caller owns them.
struct MapContext {
  const MapArguments& arguments;
  States& states;
  ResultStream& output;
  Progress& progress;
  ResumeHint& resume_hint;
  const Signals& signals;
  CloseErrors& close_errors;
  Host& host;
  Pool& pool;
};

/// Runs the module once for each state and closes the pool. Returns the exit code. Throws: OutputError.
int run_mapping(const MapContext& context, const MapOptions& options);

}  // namespace pyhost::cli
