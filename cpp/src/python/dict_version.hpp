// Notices whether a dict was modified.
#pragma once

#include <cstdint>

#include "python/python.hpp"

namespace pyhost::detail {

/// The version of a dict at one time. Python gives a dict another version whenever it modifies it, and never
/// gives the same version to two dicts. Without versions (since Python 3.14) and without a GIL, a dict
/// counts as modified. The caller holds the GIL.
class DictVersion {
 public:
  /// The version of no dict.
  DictVersion() = default;

  static DictVersion of(PyObject* dict) noexcept { return DictVersion(version_of(dict)); }

  /// Returns whether the dict has this version still.
  bool is_current(PyObject* dict) const noexcept { return has_versions && version_of(dict) == version_; }

 private:
  explicit DictVersion(std::uint64_t version) : version_(version) {}

#if PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
  static constexpr bool has_versions = true;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // since Python 3.12
  static std::uint64_t version_of(PyObject* dict) noexcept {
    return reinterpret_cast<PyDictObject*>(dict)->ma_version_tag;
  }
#pragma GCC diagnostic pop
#else
  static constexpr bool has_versions = false;
  static std::uint64_t version_of(PyObject* /*dict*/) noexcept { return 0; }
#endif

  std::uint64_t version_ = 0;
};

}  // namespace pyhost::detail
