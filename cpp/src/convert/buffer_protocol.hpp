// Buffers on their way into Python and out of it, by its buffer protocol. The caller holds the GIL.
#pragma once

#include "pyhost/buffer.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Puts each buffer under its key. Throws InvalidState for a key that is there already.
void put_buffers(PyObject* dict, const Buffers& buffers);

/// What a module returned (bytes, bytearray, memoryview, array) as it lies in memory. Throws InvalidResult
/// for what is no buffer.
Buffer buffer_from(PyObject* object);

}  // namespace pyhost::detail
