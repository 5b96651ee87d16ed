// Both directions multiply by a power of ten. Its upper 128 bits are precise enough.
#include "convert/decimal.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyhost::detail {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr int lowest_power = -342;  // below this, everything rounds to zero, even with 19 digits
constexpr int highest_power = 324;  // needed for the smallest double
constexpr int fraction_bits = 52;
constexpr std::uint64_t hidden_bit = std::uint64_t{1} << fraction_bits;
constexpr int largest_exponent = 0x7ff;

constexpr int floor_log2_of_power_of_10(int e) { return (e * 1741647) >> 19; }
constexpr int floor_log10_of_power_of_2(int e) { return (e * 1262611) >> 22; }
constexpr int floor_log10_of_three_quarters(int e) { return (e * 1262611 - 524031) >> 22; }  // of 3/4 x 2^e

// A natural number that can hold every power of ten in use, as words from the lowest to the highest.
class Large {
 public:
  constexpr void set_bit(int bit) {
    words_[static_cast<std::size_t>(bit / 32)] |= 1U << static_cast<unsigned>(bit % 32);
  }
  constexpr void multiply_by_ten() {
    std::uint64_t carry = 0;
    for (std::uint32_t& word : words_) {
      carry += std::uint64_t{word} * 10;
      word = static_cast<std::uint32_t>(carry);
      carry >>= 32U;
    }
  }
  // Dividing step by step gives the same floor as one division, so no error accumulates.
  constexpr void divide_by_ten() {
    std::uint64_t rest = 0;
    for (auto word = words_.rbegin(); word != words_.rend(); ++word) {
      rest = rest << 32U | *word;
      *word = static_cast<std::uint32_t>(rest / 10);
      rest %= 10;
    }
  }
  /// Returns the upper 128 bits. `more` says whether lower bits are set.
  constexpr Wide top(bool& more) const {
    std::size_t highest = words_.size() - 1;
    while (words_[highest] == 0) --highest;
    const int zeros = std::countl_zero(words_[highest]);
    Wide bits = 0;
    for (std::size_t i = 0; i < 4; ++i) bits = bits << 32U | (i <= highest ? words_[highest - i] : 0);
    const std::uint32_t next = highest >= 4 ? words_[highest - 4] : 0;
    if (zeros > 0) bits = bits << static_cast<unsigned>(zeros) | next >> static_cast<unsigned>(32 - zeros);
    more = (next << static_cast<unsigned>(zeros)) != 0;
    for (std::size_t i = 0; i + 4 < highest; ++i) more = more || words_[i] != 0;
    return bits;
  }

 private:
  std::array<std::uint32_t, 48> words_{};
};

// The upper 128 bits of each power of ten, rounded up.
struct Powers {
  std::array<Wide, highest_power - lowest_power + 1> of_ten{};

  constexpr Powers() {
    bool more = false;
    Large power;
    power.set_bit(0);
    for (int k = 0; k <= highest_power; ++k, power.multiply_by_ten()) {
      const Wide bits = power.top(more);
      at(k) = bits + (more ? 1 : 0);
    }
    Large inverse;
    inverse.set_bit(48 * 32 - 1);
    for (int k = -1; k >= lowest_power; --k) {
      inverse.divide_by_ten();
      at(k) = inverse.top(more) + 1;  // never exact
    }
  }
  constexpr const Wide& at(int k) const { return of_ten[static_cast<std::size_t>(k - lowest_power)]; }
  constexpr Wide& at(int k) { return of_ten[static_cast<std::size_t>(k - lowest_power)]; }
};

constexpr Powers upper_bits;

// Returns the upper 64 bits of the product. The lowest of them is set if any lower bit is lost.
std::uint64_t rounded_to_odd(Wide g, std::uint64_t factor) {
  const Wide low = Wide{static_cast<std::uint64_t>(g)} * factor;
  const Wide high =
      Wide{static_cast<std::uint64_t>(g >> 64U)} * factor + static_cast<std::uint64_t>(low >> 64U);
  return static_cast<std::uint64_t>(high >> 64U) | (static_cast<std::uint64_t>(high) > 1 ? 1U : 0U);
}

// Raffaello Giulietti, "The Schubfach way to render doubles" (2020). Three products of 64 and 128 bits locate
// the number and the two ends of its rounding interval on a decimal scale. The unit of the scale is chosen so
// that at most two multiples of ten units lie in the interval. The letters are those of the paper.
Decimal find_shortest(std::uint64_t c, int q, bool closer_below) {
  const int k = closer_below ? floor_log10_of_three_quarters(q) : floor_log10_of_power_of_2(q);
  const auto h = static_cast<unsigned>(q + floor_log2_of_power_of_10(-k) + 1);
  const Wide g = upper_bits.at(-k);
  const std::uint64_t odd = c & 1U;
  const std::uint64_t lower = rounded_to_odd(g, (4 * c - (closer_below ? 1 : 2)) << h) + odd;
  const std::uint64_t middle = rounded_to_odd(g, 4 * c << h);
  const std::uint64_t upper = rounded_to_odd(g, (4 * c + 2) << h) - odd;

  // All candidates are computed, and chosen without a branch, which no processor could predict.
  const std::uint64_t s = middle / 4;
  const std::uint64_t tens = s / 10 * 10;
  const bool tens_fit = lower <= 4 * tens;
  const bool next_tens_fit = 4 * tens + 40 <= upper;
  const bool next_is_closer = middle % 4 + s % 2 > 2;
  const bool only_next_fits = closer_below && lower > 4 * s;
  const std::uint64_t closest = s + static_cast<unsigned>(next_is_closer | only_next_fits);
  const std::uint64_t shorter = tens + 10 * static_cast<unsigned>(next_tens_fit);
  const auto take_shorter = static_cast<std::uint64_t>(tens_fit != next_tens_fit);
  return {closest + (shorter - closest) * take_shorter, k};
}

// Does the same for a number between two neighbours at the same distance. One product locates it with an
// error of less than two units in the last place of its fraction, which decides nearly always.
[[gnu::always_inline]] inline Decimal find_shortest_of_regular(std::uint64_t c, int q) {
  const int k = floor_log10_of_power_of_2(q);
  const auto h = static_cast<unsigned>(q + floor_log2_of_power_of_10(-k) + 1);  // from 1 to 4
  const Wide g = upper_bits.at(-k);
  const auto upper_g = static_cast<std::uint64_t>(g >> 64U);
  const Wide low = Wide{static_cast<std::uint64_t>(g)} * (c << h);
  const Wide product = Wide{upper_g} * (c << h) + static_cast<std::uint64_t>(low >> 64U);
  const auto s = static_cast<std::uint64_t>(product >> 64U);
  const auto fraction = static_cast<std::uint64_t>(product);

  // The distances to the multiples of ten below and above, and the half of the interval, in units of 2^-60.
  const std::uint64_t ones = s % 10;
  const std::uint64_t below = ones << 60U | fraction >> 4U;
  const std::uint64_t above = (std::uint64_t{10} << 60U) - below;
  const std::uint64_t half = upper_g >> (5 - h);
  const auto too_close = [](std::uint64_t a, std::uint64_t b) { return a - b + 4 <= 8; };
  if (too_close(below, half) || too_close(above, half) || too_close(fraction, std::uint64_t{1} << 63U))
    return find_shortest(c, q, false);
  const std::uint64_t closest = s + (fraction >> 63U);
  const std::uint64_t shorter = s - ones + 10 * static_cast<unsigned>(above < half);
  const auto take_shorter = static_cast<std::uint64_t>((below < half) | (above < half));
  return {closest + (shorter - closest) * take_shorter, k};
}

[[gnu::always_inline]] inline Decimal find_shortest(double number) {
  const auto bits = std::bit_cast<std::uint64_t>(number);
  const std::uint64_t fraction = bits & (hidden_bit - 1);
  const auto biased = static_cast<int>(bits >> fraction_bits & 0x7ffU);
  if (fraction == 0 || biased == 0) [[unlikely]]  // a power of two, or a subnormal number
    return find_shortest(biased == 0 ? fraction : fraction | hidden_bit, std::max(biased, 1) - 1075,
                         fraction == 0 && biased > 1);
  return find_shortest_of_regular(fraction | hidden_bit, biased - 1075);
}

constexpr std::uint64_t hundred_million = 100'000'000;
constexpr std::uint64_t ascii_zeros = 0x3030303030303030U;

// Returns eight digits as a word whose lowest byte is the first digit. Splits the number into halves of four
// digits, then pairs, then single digits, each in a lane of the word. The multiplications replace divisions
// by 100 and 10, and are exact for the values of a lane.
std::uint64_t as_eight_digits(std::uint64_t number) {
  const std::uint64_t halves = number / 10000 | number % 10000 << 32U;
  const std::uint64_t upper_pairs = (halves * 10486 >> 20U) & 0x0000007f0000007fU;
  const std::uint64_t pairs = (halves - upper_pairs * 100) << 16U | upper_pairs;
  const std::uint64_t tens = (pairs * 103 >> 10U) & 0x000f000f000f000fU;
  return (pairs - tens * 10) << 8U | tens;
}

// Does the same for four digits.
std::uint32_t as_four_digits(std::uint32_t number) {
  const std::uint32_t upper_pair = number * 5243 >> 19U;
  const std::uint32_t pairs = (number - upper_pair * 100) << 16U | upper_pair;
  const std::uint32_t tens = (pairs * 103 >> 10U) & 0x000f000fU;
  return (pairs - tens * 10) << 8U | tens;
}

// Write the word's bytes, the lowest first.
void store4(char* out, std::uint32_t word) {
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap32(word);
  std::memcpy(out, &word, sizeof word);
}
void store8(char* out, std::uint64_t word) {
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  std::memcpy(out, &word, sizeof word);
}

#ifdef __SSE2__

// The digits of two numbers with eight digits each. Here, too, a multiplication and a shift replace each
// division.
class SixteenDigits {
 public:
  SixteenDigits(std::uint64_t upper, std::uint64_t lower) {
    const __m128i numbers =
        _mm_set_epi64x(static_cast<std::int64_t>(lower), static_cast<std::int64_t>(upper));
    const __m128i upper_fours = _mm_srli_epi64(_mm_mul_epu32(numbers, _mm_set1_epi64x(0xd1b71759)), 45);
    const __m128i lower_fours = _mm_sub_epi64(numbers, _mm_mul_epu32(upper_fours, _mm_set1_epi64x(10000)));
    const __m128i fours = _mm_or_si128(upper_fours, _mm_slli_epi64(lower_fours, 32));
    const __m128i upper_pairs = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi32(5243)), 3);
    const __m128i lower_pairs = _mm_sub_epi16(fours, _mm_mullo_epi16(upper_pairs, _mm_set1_epi32(100)));
    const __m128i pairs = _mm_or_si128(upper_pairs, _mm_slli_epi32(lower_pairs, 16));
    const __m128i tens = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));
    const __m128i ones = _mm_sub_epi16(pairs, _mm_mullo_epi16(tens, _mm_set1_epi16(10)));
    digits_ = _mm_or_si128(tens, _mm_slli_epi16(ones, 8));
  }
  // Returns how many of the digits, and of one before them, are left without trailing zeros.
  unsigned count() const {
    const __m128i zeros = _mm_cmpeq_epi8(digits_, _mm_setzero_si128());
    const unsigned others = static_cast<unsigned>(_mm_movemask_epi8(zeros)) ^ 0xffffU;
    return (31U ^ static_cast<unsigned>(std::countl_zero(others << 1U | 1U))) + 1;
  }
  void write(char* out) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(out), text()); }
  // Writes the digits after another one, with a point after `before` of them, from 1 to 16.
  void write_with_point(char first, unsigned before, char* out) const {
    static constexpr std::array<std::uint64_t, 4> masks{~std::uint64_t{0}, ~std::uint64_t{0}};
    write(out + 2);
    const __m128i integer = _mm_or_si128(_mm_slli_si128(text(), 1), _mm_cvtsi32_si128(first));
    const __m128i fraction = _mm_slli_si128(integer, 1);
    const __m128i mask = _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(reinterpret_cast<const char*>(masks.data()) + 16 - before));
    const __m128i chosen = _mm_xor_si128(fraction, _mm_and_si128(_mm_xor_si128(integer, fraction), mask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), chosen);
    out[before] = '.';
  }

 private:
  __m128i text() const { return _mm_or_si128(digits_, _mm_set1_epi8('0')); }

  __m128i digits_;
};

#else

class SixteenDigits {
 public:
  SixteenDigits(std::uint64_t upper, std::uint64_t lower)
      : upper_(as_eight_digits(upper)), lower_(as_eight_digits(lower)) {}
  unsigned count() const {
    return static_cast<unsigned>(lower_ != 0 ? 17 - std::countl_zero(lower_) / 8
                                             : 9 - std::countl_zero(upper_) / 8);
  }
  void write(char* out) const {
    store8(out, upper_ | ascii_zeros);
    store8(out + 8, lower_ | ascii_zeros);
  }
  void write_with_point(char first, unsigned before, char* out) const {
    *out = first;
    write(out + 1);
    std::memmove(out + before + 1, out + before, 17 - before);
    out[before] = '.';
  }

 private:
  std::uint64_t upper_;
  std::uint64_t lower_;
};

#endif

// Writes a number with at most eight digits.
inline char* write_short_natural(std::uint64_t number, char* out) {
  if (number < 10000) {
    const std::uint32_t digits = as_four_digits(static_cast<std::uint32_t>(number));
    const unsigned leading_zeros = static_cast<unsigned>(std::countr_zero(digits | 1U << 24U)) / 8;
    store4(out, (digits | static_cast<std::uint32_t>(ascii_zeros)) >> 8 * leading_zeros);
    return out + 4 - leading_zeros;
  }
  const std::uint64_t digits = as_eight_digits(number);
  const unsigned leading_zeros = static_cast<unsigned>(std::countr_zero(digits)) / 8;
  store8(out, (digits | ascii_zeros) >> 8 * leading_zeros);
  return out + 8 - leading_zeros;
}

[[gnu::noinline]] char* write_long_natural(std::uint64_t number, char* out) {
  const std::uint64_t upper = number / hundred_million, lower = number % hundred_million;
  if (upper < hundred_million) {
    out = write_short_natural(upper, out);
    store8(out, as_eight_digits(lower) | ascii_zeros);
    return out + 8;
  }
  out = write_short_natural(upper / hundred_million, out);
  SixteenDigits(upper % hundred_million, lower).write(out);
  return out + 16;
}

inline char* write_natural(std::uint64_t number, char* out) {
  return number < hundred_million ? write_short_natural(number, out) : write_long_natural(number, out);
}

}  // namespace

Decimal shortest_decimal(double number) { return find_shortest(number); }

// Daniel Lemire, "Number parsing at a gigabyte per second" (2021), after an idea of Michael Eisel's.
double closest_double(Decimal number) {
  constexpr double cannot_tell = -1;
  // The powers below -27 have more than 128 bits. They match the paper's only if they are truncated, not
  // rounded up.
  constexpr int last_rounded_up = -27;
  constexpr int last_exact = 55;
  // Outside this range the result may have fewer bits, or be zero or infinite.
  if (number.digits == 0 || number.exponent < -307 || number.exponent > 288) return cannot_tell;
  const auto q = static_cast<int>(number.exponent);
  const bool exact = q >= 0 && q <= last_exact;
  const Wide power = upper_bits.at(q) - (exact || (q < 0 && q >= last_rounded_up) ? 0 : 1);
  const int zeros = std::countl_zero(number.digits);
  const std::uint64_t w = number.digits << static_cast<unsigned>(zeros);

  Wide product = Wide{w} * static_cast<std::uint64_t>(power >> 64U);
  if ((static_cast<std::uint64_t>(product >> 64U) & 0x1ffU) == 0x1ffU) {  // lower bits might carry into it
    product += Wide{w} * static_cast<std::uint64_t>(power) >> 64U;
    const bool uncertain = q < last_rounded_up || q > last_exact;
    if (uncertain && static_cast<std::uint64_t>(product) == ~std::uint64_t{0}) return cannot_tell;
  }
  const auto high = static_cast<std::uint64_t>(product >> 64U);
  const auto low = static_cast<std::uint64_t>(product);
  const auto top = static_cast<unsigned>(high >> 63U);
  const unsigned shift = top + 64 - fraction_bits - 3;
  std::uint64_t mantissa = high >> shift;  // one bit more than the result has
  const int exponent = floor_log2_of_power_of_10(q) + 63 + static_cast<int>(top) - zeros + 1023;
  // Round half to even. Ties are possible only for these exponents.
  if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3U) == 1 && mantissa << shift == high)
    mantissa &= ~std::uint64_t{1};
  mantissa = (mantissa + (mantissa & 1U)) >> 1U;
  const bool carried = mantissa == hidden_bit << 1U;
  const int biased = exponent + (carried ? 1 : 0);
  if (biased <= 0 || biased >= largest_exponent) return cannot_tell;
  const std::uint64_t fraction = carried ? 0 : mantissa & (hidden_bit - 1);
  return std::bit_cast<double>(static_cast<std::uint64_t>(biased) << fraction_bits | fraction);
}

// Always writes all 17 digits that a number can have, because that is faster.
char* write_decimal(double number, char* out) {
  constexpr std::uint64_t smallest = 10'000'000'000'000'000;  // with 17 digits
  if (std::signbit(number)) *out++ = '-';
  number = std::abs(number);
  if (number < static_cast<double>(hidden_bit)) {
    const auto integer = static_cast<std::int64_t>(number);
    if (static_cast<double>(integer) == number) {
      out = write_natural(static_cast<std::uint64_t>(integer), out);
      std::memcpy(out, ".0", 2);
      return out + 2;
    }
  }
  auto [digits, exponent] = find_shortest(number);
  while (digits < smallest / 10) {  // a subnormal number
    digits *= 10;
    --exponent;
  }
  const auto has_sixteen = static_cast<unsigned>(digits < smallest);
  digits += digits * (9 * has_sixteen);  // without a branch, too
  const std::int64_t before_point = exponent + 17 - has_sixteen;
  const std::uint64_t upper_nine = digits / hundred_million;
  const SixteenDigits after_first(upper_nine % hundred_million, digits % hundred_million);
  const char first = static_cast<char>('0' + upper_nine / hundred_million);
  const unsigned count = after_first.count();

  if (before_point >= 1 && before_point <= 16) {
    after_first.write_with_point(first, static_cast<unsigned>(before_point), out);
    return out + 1 + std::max<std::int64_t>(count, before_point + 1);
  }
  if (before_point <= 0 && before_point > -4) {
    std::memcpy(out, "0.0000", 6);
    out += 2 - before_point;
    *out = first;
    after_first.write(out + 1);
    return out + count;
  }
  out[0] = first;
  out[1] = '.';
  after_first.write(out + 2);
  out += count == 1 ? 1 : count + 1;
  const std::int64_t power = before_point - 1;
  *out++ = 'e';
  *out++ = power < 0 ? '-' : '+';
  const std::int64_t magnitude = std::abs(power);
  if (magnitude < 10) *out++ = '0';
  return std::to_chars(out, out + 3, magnitude).ptr;
}

char* write_integer(std::int64_t number, char* out) {
  if (number >= 0) return write_natural(static_cast<std::uint64_t>(number), out);
  *out = '-';
  return write_natural(-static_cast<std::uint64_t>(number), out + 1);
}

}  // namespace pyhost::detail
