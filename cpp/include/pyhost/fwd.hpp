// Forward declarations of pyhost's types.
#pragma once

#include "pyhost/json_fwd.hpp"

namespace pyhost {

class Buffer;
class Error;
class Host;
class Instance;
class Module;
class Pool;
class Runs;
class State;
enum class ErrorKind;
enum class EventKind;
enum class Isolation;
enum class Phase;
struct Environment;
struct Event;
struct LogRecord;
struct MapOptions;
struct Options;
struct Outcome;
struct PoolOptions;
struct RunOptions;
struct Scheduled;
struct Span;
struct Survey;

}  // namespace pyhost
