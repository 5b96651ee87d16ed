// Text for a terminal: width, colour and columns.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyhost::cli {

/// Returns the width of the terminal in columns, or nothing if the descriptor is not a terminal. The variable
/// COLUMNS overrides the terminal's own width.
std::optional<std::size_t> terminal_width(int descriptor);

/// Returns whether the descriptor is a terminal that can overwrite text.
bool can_redraw(int descriptor);

/// Returns whether to write in colour: only to a terminal that supports it, and never with NO_COLOR.
bool use_colour(int descriptor);

/// Returns how many columns a terminal-safe text needs: two for a wide character, none for a combining one.
std::size_t column_count(std::string_view text);

/// Returns the text if it fits into `columns`, otherwise its beginning and an ellipsis.
std::string truncate_end(const std::string& text, std::size_t columns);

/// Returns the text if it fits into `columns`, otherwise an ellipsis and its end.
std::string truncate_front(const std::string& text, std::size_t columns);

/// Returns the text with spaces added up to `columns`.
std::string padded(const std::string& text, std::size_t columns);

/// Returns each row as a line. Its cells are padded to the widest cell of their column, except the last one,
/// which may contain colours.
std::vector<std::string> aligned(const std::vector<std::vector<std::string>>& rows);

/// Returns the path for a message: relative if it is below the current folder.
std::string display_path(const std::string& file);

}  // namespace pyhost::cli
