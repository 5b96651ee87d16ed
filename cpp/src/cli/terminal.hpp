// What a terminal shows: how wide it is, how wide a text is on it, and nothing that it would obey.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyhost::cli {

/// The columns of a terminal; COLUMNS wins over what the terminal says. Nothing if this is no terminal.
std::optional<std::size_t> terminal_width(int descriptor);

/// Whether colour is wanted: on a terminal that has it, and never with NO_COLOR.
bool colour_wanted(int descriptor);

/// UTF-8 on one line, in which everything that a terminal would obey is escaped.
std::string inert(std::string_view text);

/// The columns that an inert text takes: two for a wide character, none for an accent.
std::size_t columns_of(std::string_view text);

/// The text, or if it takes more columns its beginning and an ellipsis.
std::string cut_end(const std::string& text, std::size_t columns);

/// The same with the end of the text.
std::string cut_front(const std::string& text, std::size_t columns);

/// The text and as many spaces as are missing.
std::string padded(const std::string& text, std::size_t columns);

/// A file's name as people would write it from here: relative if it is below the current folder.
std::string from_here(const std::string& file);

}  // namespace pyhost::cli
