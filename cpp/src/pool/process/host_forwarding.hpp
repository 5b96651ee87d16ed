// Passes on to the host what happens in its worker processes: output, logs, events, errors.
#pragma once

#include <cstdint>

#include "host/host_internals.hpp"
#include "pool/process/wire_frames.hpp"

namespace pyhost::detail {

/// Calls the host's callback for a frame from the worker process of this number. Returns false if the frame
/// is of another kind. Throws BrokenFrame, or Json's exceptions, for a frame that no worker sends.
bool forward_to_host(const HostInternals& host, std::uint64_t process, const WireFrame& frame);

}  // namespace pyhost::detail
