// Passes buffers into Python and out of it, using Python's buffer protocol. The caller holds the GIL.
#pragma once

#include "pyhost/buffer.hpp"
#include "python/python.hpp"

namespace pyhost::detail {

/// Puts each buffer into the dict under its key.
/// Throws: InvalidState if the dict already has the key.
void put_buffers(PyObject* dict, const Buffers& buffers);

/// Returns the memory of an object that a module returned: bytes, bytearray, memoryview or array. Nothing is
/// copied.
/// Throws: InvalidResult if the object is not a buffer.
Buffer buffer_from(PyObject* object);

}  // namespace pyhost::detail
