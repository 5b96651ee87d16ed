// Reads what Error::to_json() wrote.
#include "error/error_from_json.hpp"

#include "pyhost/json.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace pyhost::detail {

namespace {

// The enumerator whose name this is.
template <class Enum>
Enum enumerator(const Json& name, Enum last) {
  const auto& wanted = name.get_ref<const std::string&>();
  for (int each = 0; each <= static_cast<int>(last); ++each) {
    if (to_string(static_cast<Enum>(each)) == wanted) return static_cast<Enum>(each);
  }
  throw Json::other_error::create(501, "there is no " + wanted, &name);
}

int known(const Json& number) { return number.is_null() ? 0 : number.get<int>(); }

Frame frame_from(const Json& json) {
  if (json.is_null()) return {};
  Frame frame{.file = json.at("file"),
              .line = json.at("line"),
              .function = json.at("function"),
              .source = json.at("source"),
              .column = known(json.at("column")),
              .end_column = known(json.at("end_column"))};
  if (const Json& repeated = json.at("repeated"); !repeated.is_null()) {
    frame.repeated_frames = repeated.at("frames");
    frame.repeated_times = repeated.at("times");
  }
  return frame;
}

PythonException exception_from(const Json& json) {
  if (json.is_null()) return {};
  PythonException exception{.type = json.at("type"),
                            .message = json.at("message"),
                            .import_name = json.at("import_name"),
                            .notes = json.at("notes")};
  for (const Json& frame : json.at("frames")) exception.frames.push_back(frame_from(frame));
  exception.frames_left_out = json.at("frames_left_out");
  for (const Json& earlier : json.at("chain")) {
    exception.chain.push_back(exception_from(earlier));
    exception.chain.back().link = enumerator(earlier.at("link"), Link::Context);
  }
  exception.chain_left_out = json.at("chain_left_out");
  for (const Json& member : json.at("members")) exception.members.push_back(exception_from(member));
  exception.members_left_out = json.at("members_left_out");
  return exception;
}

}  // namespace

Error error_from_json(const Json& json) {
  return Error({.kind = enumerator(json.at("kind"), ErrorKind::HostClosed),
                .phase = enumerator(json.at("phase"), Phase::Close),
                .module = json.at("module"),
                .message = json.at("message"),
                .pointer = json.at("pointer"),
                .hint = json.at("hint"),
                .place = frame_from(json.at("place")),
                .exception = exception_from(json.at("exception")),
                .closed = json.at("closed").is_null() ? Closed::Nothing
                                                      : enumerator(json.at("closed"), Closed::Process)});
}

}  // namespace pyhost::detail
