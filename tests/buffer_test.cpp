#include <doctest/doctest.h>

#include <array>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

TEST_CASE("a module looks at C++'s own numbers, without a copy") {
  Host host(over_fixtures());
  std::vector<double> prices{1.5, 2.5};
  const Buffer buffer = Buffer::borrow(std::span<const double>(prices));
  const Module module = host.load("looks_at_a_buffer");
  const Instance sum = module.create({{"give", "sum(v)"}}, {{"data", buffer}});
  CHECK(sum.run() == 4.0);
  prices[0] = 10;  // what Python sees is this very memory
  CHECK(sum.run() == 12.5);
  CHECK(module
            .create({{"give", "[v.format, v.itemsize, v.shape, v.readonly, repr(state['data'])]"}},
                    {{"data", buffer}})
            .run() == Json{"d", 8, {2}, true, "<buffer of the host, format 'd', shape (2)>"});
  CHECK(module.create(R"({"give": "v[1]"})", {{"data", buffer}}).run() == 2.5);
}

TEST_CASE("a module writes into a buffer only if it may") {
  Host host(over_fixtures());
  std::array<int, 3> numbers{1, 2, 3};
  const Module module = host.load("looks_at_a_buffer");
  const Json write{{"give", "v.__setitem__(0, 7)"}};
  module.create(write, {{"data", Buffer::borrow(std::span<int>(numbers), true)}}).run();
  CHECK(numbers[0] == 7);
  REQUIRE_ERROR(error, ModuleRaised,
                module.create(write, {{"data", Buffer::borrow(std::span<int>(numbers))}}).run());
  CHECK(error.exception().type == "TypeError");
}

TEST_CASE("an image has its shape and its strides") {
  Host host(over_fixtures());
  // Two rows of three pixels, each row padded to four bytes; and the same by columns.
  auto pixels =
      std::make_shared<std::vector<unsigned char>>(std::vector<unsigned char>{1, 2, 3, 0, 4, 5, 6, 0});
  const void* first = pixels->data();
  const Buffer image(pixels, first, {.format = "B", .item_size = 1, .shape = {2, 3}, .strides = {4, 1}});
  const Buffer turned(pixels, first, {.format = "B", .item_size = 1, .shape = {3, 2}, .strides = {1, 4}});
  CHECK_FALSE(image.is_contiguous());
  const Module module = host.load("looks_at_a_buffer");
  const Json list{{"give", "v.tolist()"}};
  CHECK(module.create(list, {{"data", image}}).run() == Json{{1, 2, 3}, {4, 5, 6}});
  CHECK(module.create(list, {{"data", turned}}).run() == Json{{1, 4}, {2, 5}, {3, 6}});
  REQUIRE_ERROR(
      gaps, ModuleRaised,
      module.create({{"give", "__import__('io').BytesIO(state['data'])"}}, {{"data", image}}).run());
  CHECK(gaps.exception().type == "BufferError");
}

TEST_CASE("a buffer keeps its memory for as long as C++ or Python has it") {
  auto memory = std::make_shared<std::vector<double>>(3, 2.0);
  const std::weak_ptr<std::vector<double>> watched = memory;
  std::optional<Instance> instance;
  {
    Host host(over_fixtures());
    const double* data = memory->data();
    const Buffer buffer(std::move(memory), data, {.format = "d", .item_size = 8, .shape = {3}});
    instance =
        host.load("looks_at_a_buffer").create({{"give", "sum(v)"}, {"keep", true}}, {{"data", buffer}});
  }
  CHECK_FALSE(watched.expired());
  std::thread([&] { instance.reset(); }).join();
  CHECK(watched.expired());
}

TEST_CASE("memory that is lent is taken back once nobody looks at it") {
  Host host(over_fixtures());
  std::vector<float> numbers(3, 1.0F);
  const Buffer buffer = Buffer::borrow(std::span<float>(numbers));
  const Module module = host.load("looks_at_a_buffer");
  const Instance looks = module.create({{"give", "sum(v)"}}, {{"data", buffer}});
  std::optional<Instance> keeps = module.create({{"give", "v[0]"}, {"keep", true}}, {{"data", buffer}});
  CHECK(looks.run() == 3.0);
  CHECK_FALSE(buffer.revoke());
  CHECK_FALSE(buffer.revoke(std::chrono::milliseconds(1)));
  REQUIRE_ERROR(error, ModuleRaised, looks.run());  // no new view
  CHECK(error.exception().type == "BufferError");
  CHECK_SAYS(error, "the host has taken this buffer back");
  keeps.reset();
  CHECK(buffer.revoke());
}

TEST_CASE("a key that the state has, and memory that is none, are refused") {
  Host host(over_fixtures());
  const Module module = host.load("looks_at_a_buffer");
  const Buffer buffer = Buffer::of(std::vector<int>{1});
  REQUIRE_ERROR(clash, InvalidState, module.create({{"data", 1}}, {{"data", buffer}}));
  CHECK(clash.pointer() == "/data");
  CHECK_SAYS(clash, "has a key that the state has already");
  REQUIRE_ERROR(twice, InvalidState, module.create({}, {{"data", buffer}, {"data", buffer}}));
  REQUIRE_ERROR(none, InvalidState, module.create({}, {{"data", Buffer()}}));
  REQUIRE_ERROR(null, InvalidState, Buffer(nullptr, nullptr, {.shape = {1}}));
  REQUIRE_ERROR(strides, InvalidState, Buffer(nullptr, &host, {.shape = {1}, .strides = {1, 1}}));
}

TEST_CASE("a result may be bytes or an array, and C++ looks at its memory") {
  Host host(over_fixtures());
  const auto result = [&](const std::string& give) {
    return host.load("evaluates").create({{"first", "import array"}, {"give", give}}).run_buffer();
  };
  const Buffer bytes = result("b'abc'");
  CHECK(std::string(reinterpret_cast<const char*>(bytes.as<unsigned char>().data()), bytes.size_bytes()) ==
        "abc");
  CHECK_FALSE(bytes.layout().writable);
  const Buffer array = result("array.array('d', [1.5, 2.5])");
  REQUIRE(array.as<double>().size() == 2);
  CHECK(array.as<double>()[1] == 2.5);
  CHECK(result("array.array('q', [5])").as<std::int64_t>()[0] == 5);
  CHECK(result("array.array('l', [5])").as<std::int64_t>()[0] == 5);
  CHECK_FALSE(array.revoke());
  REQUIRE_ERROR(other, InvalidResult, array.as<float>());
  CHECK_SAYS(other, "has elements of the format 'd', not 'f'");
  const Buffer sparse = result("memoryview(bytes(range(6)))[::2]");
  CHECK(sparse.layout().shape == std::vector<std::size_t>{3});
  CHECK(sparse.layout().strides == std::vector<std::ptrdiff_t>{2});
  REQUIRE_ERROR(gaps, InvalidResult, sparse.as<unsigned char>());
  REQUIRE_ERROR(error, InvalidResult, result("[1, 2]"));
  CHECK_SAYS(error, "module 'evaluates': the result is of type list, which is no buffer");
}

TEST_CASE("a result's buffer may go into the next module, and outlive the host") {
  std::optional<Buffer> kept;
  {
    Host host(over_fixtures());
    kept = host.load("evaluates").create({{"give", "bytearray(b'abc')"}}).run_buffer();
    const Module looks = host.load("looks_at_a_buffer");
    CHECK(looks.create({{"give", "bytes(v).decode()"}}, {{"data", *kept}}).run() == "abc");
  }
  CHECK(kept->size_bytes() == 3);
  std::thread([last = std::exchange(kept, std::nullopt)] { CHECK(last->layout().writable); }).join();
}
