// Forwards output, logs, events and errors of worker processes to the host.
#pragma once

#include <cstdint>

#include "host/host_internals.hpp"
#include "pool/process/wire_frames.hpp"

namespace pyhost::detail {

/// Calls the host's callback for a frame from the worker process with this number. Returns false if the frame
/// is of another kind. Throws BrokenFrame, or an exception of Json, for a frame that no worker sends.
bool forward_to_host(const HostInternals& host, std::uint64_t process, const WireFrame& frame);

}  // namespace pyhost::detail
