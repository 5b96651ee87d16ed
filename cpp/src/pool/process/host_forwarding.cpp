// One callback for each kind of frame.
#include "pool/process/host_forwarding.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "error/error_json.hpp"
#include "pool/process/messages.hpp"
#include "services/redirection.hpp"

namespace pyhost::detail {

namespace {

void forward_output(OutputSink& sink, const WireFrame& frame) {
  const std::size_t end = std::min(frame.content.find('\n'), frame.content.size());
  const auto stream = frame.number == 1 ? Output::Stream::Stdout : Output::Stream::Stderr;
  const std::string_view all = frame.content;
  try {
    deliver(sink, {all.substr(0, end), stream, all.substr(std::min(end + 1, all.size()))});
  } catch (...) {
    // Exceptions from on_output are ignored: the module that wrote has gone on since.
  }
}

}  // namespace

bool forward_to_host(const HostInternals& host, std::uint64_t process, const WireFrame& frame) {
  switch (frame.kind) {
    case FrameKind::Output:
      forward_output(host.output, frame);
      return true;
    case FrameKind::Log: {
      LogRecord record = log_record_from_json(json_of(frame));
      record.run = run_of_worker(process, record.run);
      if (host.logging != nullptr) host.logging->put(std::move(record));
      return true;
    }
    case FrameKind::LogsDropped:
      if (host.logging != nullptr) host.logging->add_dropped(frame.number);
      return true;
    case FrameKind::Event:
      forward_event(json_of(frame), process, host.options.callbacks.on_event);
      return true;
    case FrameKind::HostError:
      host.host_state.notify_error(error_from_json(json_of(frame)));
      return true;
    default:
      return false;
  }
}

}  // namespace pyhost::detail
