// Part of the program pyhost if it contains Python. Maps the pages of the program before main().
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#ifdef MADV_POPULATE_WRITE  // since Linux 5.14; older kernels refuse it

namespace {

using Part = ElfW(Phdr);

// The end of what the file contains, without the zeros that follow.
std::uintptr_t end_of(const Part& part) { return part.p_vaddr + part.p_filesz; }

// The start of Python uses nearly all pages of its code and data. One call for the code and one for the data
// take less time than one page fault for each page.
int map_pages(dl_phdr_info* program, std::size_t /*size*/, void* /*unused*/) {
  const std::span<const Part> parts(program->dlpi_phdr, program->dlpi_phnum);
  // The part of the data that is read-only by now.
  const auto constants = std::ranges::find(parts, PT_GNU_RELRO, &Part::p_type);
  const std::uintptr_t constants_end = constants != parts.end() ? end_of(*constants) : 0;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (const Part& part : parts) {
    const bool is_code = (part.p_flags & PF_X) != 0, is_data = (part.p_flags & PF_W) != 0;
    if (part.p_type != PT_LOAD || !(is_code || is_data)) continue;
    std::uintptr_t begin = is_data ? std::max<std::uintptr_t>(part.p_vaddr, constants_end) : part.p_vaddr;
    begin -= begin % page;
    if (begin < end_of(part)) {
      madvise(reinterpret_cast<void*>(program->dlpi_addr + begin), end_of(part) - begin,
              is_data ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    }
  }
  return 1;  // only the program, which is the first of the loaded objects
}

[[maybe_unused]] const int mapped = dl_iterate_phdr(map_pages, nullptr);

}  // namespace

#endif
