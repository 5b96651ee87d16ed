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
[[gnu::always_inline]] inline Decimal find_shortest(double number) {
  const auto bits = std::bit_cast<std::uint64_t>(number);
  const std::uint64_t fraction = bits & (hidden_bit - 1);
  const auto biased = static_cast<int>(bits >> fraction_bits & 0x7ffU);
  const std::uint64_t c = biased == 0 ? fraction : fraction | hidden_bit;
  const int q = std::max(biased, 1) - 1075;

  if (q <= 0 && q >= -fraction_bits) {  // an integer is its own shortest form
    const auto shift = static_cast<unsigned>(-q);
    if ((c >> shift) << shift == c) return {c >> shift, 0};
  }
  const bool closer_below = fraction == 0 && biased > 1;  // at a power of two, the lower neighbour is closer
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
  const bool only_next_fits = closer_below & (lower > 4 * s);
  const std::uint64_t closest = s + static_cast<unsigned>(next_is_closer | only_next_fits);
  const std::uint64_t shorter = tens + 10 * static_cast<unsigned>(next_tens_fit);
  const auto take_shorter = static_cast<std::uint64_t>((s >= 10) & (tens_fit != next_tens_fit));
  return {closest + (shorter - closest) * take_shorter, k};
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

struct SixteenDigits {
  std::uint64_t upper = 0;
  std::uint64_t lower = 0;
};

// Does the same for two numbers at once. Here, too, a multiplication and a shift replace each division.
SixteenDigits as_sixteen_digits(std::uint64_t upper, std::uint64_t lower) {
#ifdef __SSE2__
  const __m128i numbers = _mm_set_epi64x(static_cast<std::int64_t>(lower), static_cast<std::int64_t>(upper));
  const __m128i upper_fours = _mm_srli_epi64(_mm_mul_epu32(numbers, _mm_set1_epi64x(0xd1b71759)), 45);
  const __m128i lower_fours = _mm_sub_epi64(numbers, _mm_mul_epu32(upper_fours, _mm_set1_epi64x(10000)));
  const __m128i fours = _mm_or_si128(upper_fours, _mm_slli_epi64(lower_fours, 32));
  const __m128i upper_pairs = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi32(5243)), 3);
  const __m128i lower_pairs = _mm_sub_epi16(fours, _mm_mullo_epi16(upper_pairs, _mm_set1_epi32(100)));
  const __m128i pairs = _mm_or_si128(upper_pairs, _mm_slli_epi32(lower_pairs, 16));
  const __m128i tens = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));
  const __m128i ones = _mm_sub_epi16(pairs, _mm_mullo_epi16(tens, _mm_set1_epi16(10)));
  const __m128i digits = _mm_or_si128(tens, _mm_slli_epi16(ones, 8));
  return {static_cast<std::uint64_t>(_mm_cvtsi128_si64(digits)),
          static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(digits, digits)))};
#else
  return {as_eight_digits(upper), as_eight_digits(lower)};
#endif
}

// Returns how many bytes the number needs.
unsigned count_bytes(std::uint64_t number) { return (static_cast<unsigned>(std::bit_width(number)) + 7) / 8; }

// Writes the word's bytes, the lowest first.
void store8(char* out, std::uint64_t word) {
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  std::memcpy(out, &word, sizeof word);
}

constexpr std::array<std::uint64_t, 20> make_powers() {
  std::array<std::uint64_t, 20> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}
constexpr std::array<std::uint64_t, 20> powers_of_ten = make_powers();

// The number must not be 0.
int count_digits(std::uint64_t number) {
  const auto bits = static_cast<int>(std::bit_width(number));
  const int least = bits * 1233 >> 12;  // the number has this many digits, or one more
  return least + (number >= powers_of_ten[static_cast<std::size_t>(least)] ? 1 : 0);
}

char* write_natural(std::uint64_t number, char* out) {
  if (number < 10) {
    *out = static_cast<char>('0' + number);
    return out + 1;
  }
  if (number >= hundred_million) {
    out = write_natural(number / hundred_million, out);
    store8(out, as_eight_digits(number % hundred_million) | ascii_zeros);
    return out + 8;
  }
  const std::uint64_t digits = as_eight_digits(number);
  const unsigned leading_zeros = static_cast<unsigned>(std::countr_zero(digits)) / 8;
  store8(out, (digits | ascii_zeros) >> 8 * leading_zeros);
  return out + 8 - leading_zeros;
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
  if (std::signbit(number)) *out++ = '-';
  number = std::abs(number);
  if (number == 0) {
    std::memcpy(out, "0.0", 3);
    return out + 3;
  }
  const Decimal decimal = find_shortest(number);
  const int size = count_digits(decimal.digits);
  const std::uint64_t all = decimal.digits * powers_of_ten[static_cast<std::size_t>(17 - size)];
  const std::uint64_t upper_nine = all / hundred_million;
  const auto [upper, lower] = as_sixteen_digits(upper_nine % hundred_million, all % hundred_million);
  const char first = static_cast<char>('0' + upper_nine / hundred_million);
  const unsigned count = lower != 0 ? 9 + count_bytes(lower) : 1 + count_bytes(upper);
  const std::int64_t before_point = size + decimal.exponent;

  if (before_point > 16 || before_point <= -4) {
    *out++ = first;
    if (count > 1) {
      *out = '.';
      store8(out + 1, upper | ascii_zeros);
      store8(out + 9, lower | ascii_zeros);
      out += count;
    }
    const std::int64_t power = before_point - 1;
    *out++ = 'e';
    *out++ = power < 0 ? '-' : '+';
    const std::int64_t magnitude = std::abs(power);
    if (magnitude < 10) *out++ = '0';
    return std::to_chars(out, out + 3, magnitude).ptr;
  }
  if (before_point <= 0) {
    std::memcpy(out, "0.0000", 6);
    out += 2 - before_point;
  }
  *out = first;
  store8(out + 1, upper | ascii_zeros);
  store8(out + 9, lower | ascii_zeros);
  if (before_point <= 0) return out + count;
  const Wide fraction = (Wide{lower | ascii_zeros} << 64U | upper | ascii_zeros) >> 8 * (before_point - 1);
  out += before_point;
  store8(out + 1, static_cast<std::uint64_t>(fraction));
  store8(out + 9, static_cast<std::uint64_t>(fraction >> 64U));
  *out = '.';
  return out + 1 + std::max<std::int64_t>(count - before_point, 1);
}

char* write_integer(std::int64_t number, char* out) {
  if (number >= 0) return write_natural(static_cast<std::uint64_t>(number), out);
  *out = '-';
  return write_natural(-static_cast<std::uint64_t>(number), out + 1);
}

}  // namespace pyhost::detail
