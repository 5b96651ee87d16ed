// Converts Error to Json and back. Each key that is written and read is named once.
#include "error/error_json.hpp"

#include <string>
#include <utility>

#include "pyhost/json.hpp"

namespace pyhost {

// nlohmann_json finds these by argument-dependent lookup.
static void to_json(Json& json, const Frame& frame);
static void from_json(const Json& json, Frame& frame);
static void to_json(Json& json, const PythonException& exception);
static void from_json(const Json& json, PythonException& exception);

namespace {

template <class Enum>
Enum enumerator(const Json& name, Enum last) {
  const auto& wanted = name.get_ref<const std::string&>();
  for (int each = 0; each <= static_cast<int>(last); ++each) {
    if (to_string(static_cast<Enum>(each)) == wanted) return static_cast<Enum>(each);
  }
  throw Json::other_error::create(501, "unknown name " + wanted, &name);
}

struct Writer {
  void operator()(const char* key, const auto& value) const { json[key] = value; }
  void name(const char* key, auto value, auto /*last*/) const { json[key] = to_string(value); }
  void or_null(const char* key, const auto& value, bool is_known) const {
    json[key] = is_known ? Json(value) : Json(nullptr);
  }
  Json& json;
};

struct Reader {
  void operator()(const char* key, auto& value) const { json.at(key).get_to(value); }
  void name(const char* key, auto& value, auto last) const { value = enumerator(json.at(key), last); }
  void or_null(const char* key, auto& value, bool /*is_known*/) const {
    if (!json.at(key).is_null()) json.at(key).get_to(value);
  }
  const Json& json;
};

void each_key_of_frame(const auto& key, auto& frame) {
  key("file", frame.file);
  key("line", frame.line);
  key("function", frame.function);
  key("source", frame.source);
  key.or_null("column", frame.column, frame.column > 0);
  key.or_null("end_column", frame.end_column, frame.end_column > 0);
}

void each_key_of_exception(const auto& key, auto& exception) {
  key("type", exception.type);
  key("message", exception.message);
  key("import_name", exception.import_name);
  key("notes", exception.notes);
  key("frames", exception.frames);
  key("frames_left_out", exception.frames_left_out);
  key("chain", exception.chain);
  key("chain_left_out", exception.chain_left_out);
  key("members", exception.members);
  key("members_left_out", exception.members_left_out);
}

void each_key_of_error(const auto& key, auto& data) {
  key.name("kind", data.kind, ErrorKind::Unreachable);
  key.name("phase", data.phase, Phase::Close);
  key("module", data.module);
  key("message", data.message);
  key("pointer", data.pointer);
  key("hint", data.hint);
  key.or_null("place", data.place, !data.place.file.empty());
  key.or_null("exception", data.exception, !data.exception.type.empty());
}

}  // namespace

static void to_json(Json& json, const Frame& frame) {
  each_key_of_frame(Writer{json}, frame);
  json["origin"] = to_string(origin_of(frame));
  json["repeated"] = frame.repeated_times == 0
                         ? Json(nullptr)
                         : Json{{"frames", frame.repeated_frames}, {"times", frame.repeated_times}};
}

static void from_json(const Json& json, Frame& frame) {
  each_key_of_frame(Reader{json}, frame);
  const Json& repeated = json.at("repeated");
  if (repeated.is_null()) return;
  frame.repeated_frames = repeated.at("frames");
  frame.repeated_times = repeated.at("times");
}

static void to_json(Json& json, const PythonException& exception) {
  each_key_of_exception(Writer{json}, exception);
  if (exception.link != Link::None) json["link"] = to_string(exception.link);
}

static void from_json(const Json& json, PythonException& exception) {
  each_key_of_exception(Reader{json}, exception);
  if (json.contains("link")) exception.link = enumerator(json["link"], Link::Context);
}

Json Error::to_json() const {
  Json json{{"schema", 1}, {"closed", nullptr}};
  each_key_of_error(Writer{json}, said_->data);
  if (closed() != Closed::Nothing) json["closed"] = to_string(closed());
  return json;
}

namespace detail {

Error error_from_json(const Json& json) {
  Error::Data data;
  each_key_of_error(Reader{json}, data);
  if (const Json& closed = json.at("closed"); !closed.is_null())
    data.closed = enumerator(closed, Closed::Process);
  return Error(std::move(data));
}

PythonException exception_from_json(const Json& json) { return json.get<PythonException>(); }

}  // namespace detail

}  // namespace pyhost
