#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "support.hpp"

using namespace pyhost;
using test::over_fixtures;

TEST_CASE("a module reads memory of C++ without a copy") {
  Host host(over_fixtures());
  std::vector<double> prices{1.5, 2.5};
  const Buffer buffer = Buffer::borrow(std::span<const double>(prices));
  const Module module = host.load("looks_at_a_buffer");
  const Instance sum = module.create(State{{"give", "sum(v)"}}.with("data", buffer));
  CHECK(sum.run() == 4.0);
  prices[0] = 10;  // Python sees the same memory
  CHECK(sum.run() == 12.5);
  CHECK(module
            .create(State{{"give", "[v.format, v.itemsize, v.shape, v.readonly, repr(state['data'])]"}}.with(
                "data", buffer))
            .run() == Json{"d", 8, {2}, true, "<buffer of the host, format 'd', shape (2)>"});
  CHECK(module.create(State(R"({"give": "v[1]"})").with("data", buffer)).run() == 2.5);
}

TEST_CASE("a module cannot write into a read-only buffer") {
  Host host(over_fixtures());
  std::array<int, 3> numbers{1, 2, 3};
  const Module module = host.load("looks_at_a_buffer");
  const Json write{{"give", "v.__setitem__(0, 7)"}};
  module.create(State(write).with("data", Buffer::borrow(std::span<int>(numbers), true))).run();
  CHECK(numbers[0] == 7);
  REQUIRE_ERROR(error, ModuleRaised,
                module.create(State(write).with("data", Buffer::borrow(std::span<int>(numbers)))).run());
  CHECK(error.exception().type == "TypeError");
}

TEST_CASE("a module sees the shape and the strides of an image") {
  Host host(over_fixtures());
  // Two rows of three pixels, each row padded to four bytes. Then the same pixels in column order.
  auto pixels =
      std::make_shared<std::vector<unsigned char>>(std::vector<unsigned char>{1, 2, 3, 0, 4, 5, 6, 0});
  const void* first = pixels->data();
  const Buffer image(pixels, first, {.format = "B", .item_size = 1, .shape = {2, 3}, .strides = {4, 1}});
  const Buffer turned(pixels, first, {.format = "B", .item_size = 1, .shape = {3, 2}, .strides = {1, 4}});
  CHECK_FALSE(image.is_contiguous());
  const Module module = host.load("looks_at_a_buffer");
  const Json list{{"give", "v.tolist()"}};
  CHECK(module.create(State(list).with("data", image)).run() == Json{{1, 2, 3}, {4, 5, 6}});
  CHECK(module.create(State(list).with("data", turned)).run() == Json{{1, 4}, {2, 5}, {3, 6}});
  REQUIRE_ERROR(
      gaps, ModuleRaised,
      module.create(State{{"give", "__import__('io').BytesIO(state['data'])"}}.with("data", image)).run());
  CHECK(gaps.exception().type == "BufferError");
}

TEST_CASE("a buffer keeps its memory alive while C++ or Python refers to it") {
  auto memory = std::make_shared<std::vector<double>>(3, 2.0);
  const std::weak_ptr<std::vector<double>> watched = memory;
  std::optional<Instance> instance;
  {
    Host host(over_fixtures());
    const double* data = memory->data();
    const Buffer buffer(std::move(memory), data, {.format = "d", .item_size = 8, .shape = {3}});
    instance =
        host.load("looks_at_a_buffer").create(State{{"give", "sum(v)"}, {"keep", true}}.with("data", buffer));
  }
  CHECK_FALSE(watched.expired());
  std::thread([&] { instance.reset(); }).join();
  CHECK(watched.expired());
}

TEST_CASE("borrowed memory is revoked once no view of it is left") {
  Host host(over_fixtures());
  std::vector<float> numbers(3, 1.0F);
  const Buffer buffer = Buffer::borrow(std::span<float>(numbers));
  const Module module = host.load("looks_at_a_buffer");
  const Instance looks = module.create(State{{"give", "sum(v)"}}.with("data", buffer));
  std::optional<Instance> keeps = module.create(State{{"give", "v[0]"}, {"keep", true}}.with("data", buffer));
  CHECK(looks.run() == 3.0);
  CHECK_FALSE(buffer.revoke());
  CHECK_FALSE(buffer.revoke(std::chrono::milliseconds(1)));
  REQUIRE_ERROR(error, ModuleRaised, looks.run());  // Python cannot make a new view
  CHECK(error.exception().type == "BufferError");
  CHECK_SAYS(error, "the host has revoked this buffer");
  keeps.reset();
  CHECK(buffer.revoke());
}

TEST_CASE("a buffer with the key of another value, and an empty buffer handle, are refused") {
  Host host(over_fixtures());
  const Module module = host.load("looks_at_a_buffer");
  const Buffer buffer = Buffer::of(std::vector<int>{1});
  REQUIRE_ERROR(clash, InvalidState, module.create(State{{"data", 1}}.with("data", buffer)));
  CHECK(clash.pointer() == "/data");
  CHECK_SAYS(clash, "has a key that is already in the state");
  REQUIRE_ERROR(twice, InvalidState, module.create(State().with("data", buffer).with("data", buffer)));
  REQUIRE_ERROR(none, InvalidState, module.create(State().with("data", Buffer())));
  REQUIRE_ERROR(null, InvalidState, Buffer(nullptr, nullptr, {.shape = {1}}));
  REQUIRE_ERROR(strides, InvalidState, Buffer(nullptr, &host, {.shape = {1}, .strides = {1, 1}}));
}

TEST_CASE("C++ reads the memory of a result that is bytes or an array") {
  Host host(over_fixtures());
  const auto result = [&](const std::string& give) {
    return host.load("evaluates").create({{"first", "import array"}, {"give", give}}).run<Buffer>();
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
  CHECK_SAYS(error, "module 'evaluates': the result is of type list, which is not a buffer");
}

TEST_CASE("the buffer of a result can be passed to the next module, and outlives the host") {
  std::optional<Buffer> kept;
  {
    Host host(over_fixtures());
    kept = host.load("evaluates").create({{"give", "bytearray(b'abc')"}}).run<Buffer>();
    const Module looks = host.load("looks_at_a_buffer");
    CHECK(looks.create(State{{"give", "bytes(v).decode()"}}.with("data", *kept)).run() == "abc");
  }
  CHECK(kept->size_bytes() == 3);
  std::thread([last = std::exchange(kept, std::nullopt)] { CHECK(last->layout().writable); }).join();
}

TEST_CASE("a buffer can have any dimensions, strides and order") {
  Host host(over_fixtures());
  const auto numbers = std::make_shared<std::vector<int>>(std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8});
  const auto seen = [&](BufferLayout layout, std::size_t first = 0) {
    layout.format = std::string("i");
    layout.item_size = sizeof(int);
    const Buffer buffer(numbers, numbers->data() + first, std::move(layout));
    return host.load("looks_at_a_buffer")
        .create(State{
            {"give", "[v.tolist(), v.shape, v.nbytes, v.c_contiguous, v.f_contiguous, v.tobytes().hex()]"}}
                    .with("data", buffer))
        .run();
  };
  const Json cube = seen({.shape = {2, 2, 2}});
  CHECK(cube[0] == Json{{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}});
  CHECK(cube[3] == true);
  const Json by_columns = seen({.shape = {2, 4}, .strides = {4, 8}});  // column-major order
  CHECK(by_columns[0] == Json{{1, 3, 5, 7}, {2, 4, 6, 8}});
  CHECK(by_columns[3] == false);
  CHECK(by_columns[4] == true);
  CHECK(seen({.shape = {3}, .strides = {-4}}, 2)[0] == Json{3, 2, 1});
  CHECK(seen({.shape = {2, 2}, .strides = {-16, -4}}, 7)[0] == Json{{8, 7}, {4, 3}});
  CHECK(seen({.shape = {3}, .strides = {0}})[0] == Json{1, 1, 1});
  const Json scalar = seen({});
  CHECK(scalar[0] == 1);
  CHECK(scalar[1] == Json::array());
  CHECK(scalar[2] == 4);
  const Json none = seen({.shape = {2, 0, 3}});
  CHECK(none[0] == Json{Json::array(), Json::array()});
  CHECK(none[2] == 0);
  const Module looks = host.load("looks_at_a_buffer");
  const Buffer empty = Buffer::of(std::vector<double>());
  CHECK(looks.create(State{{"give", "[v.shape, bytes(state['data']).hex()]"}}.with("data", empty)).run() ==
        Json{{0}, ""});
}

TEST_CASE("a plain request for bytes works for a buffer with any dimensions") {
  Host host(over_fixtures());
  const std::array<unsigned char, 6> pixels{1, 2, 3, 4, 5, 6};
  static constexpr int number = 0x01010101;
  const std::string md5 = "__import__('hashlib').md5(state['data']).hexdigest()";
  const std::string give = "[" + md5 + ", bytes(state['data']).hex(), v.shape]";
  const Module module = host.load("looks_at_a_buffer");
  const auto seen = [&](const Buffer& buffer) {
    return module.create(State{{"give", give}}.with("data", buffer)).run();
  };
  CHECK(seen(Buffer(nullptr, pixels.data(), {.shape = {2, 3}})) ==
        Json{"6ac1e56bc78f031059be7be854522c4c", "010203040506", {2, 3}});
  CHECK(seen(Buffer(nullptr, &number, {.format = "i", .item_size = 4}))[1] == "01010101");
}

TEST_CASE("a layout that reaches outside of its memory is refused") {
  static const std::array<double, 8> memory{};
  constexpr std::size_t half = std::size_t{1} << 62U;
  for (const auto& [layout, part] : std::vector<std::pair<BufferLayout, std::string>>{
           {{.format = "d", .item_size = 1, .shape = {8}},
            "has elements of 1 byte, but its format 'd' means 8 bytes"},
           {{.format = "@i", .item_size = 8, .shape = {1}},
            "has elements of 8 bytes, but its format '@i' means 4 bytes"},
           {{.shape = {0, 2 * half}}, "is larger than memory"},
           {{.shape = {0, half, half}}, "is larger than memory"},
           {{.shape = {half, half, 0}}, "is larger than memory"},
           {{.format = "d", .item_size = 8, .shape = {half}}, "is larger than memory"}}) {
    REQUIRE_ERROR(error, InvalidState, Buffer(nullptr, memory.data(), layout));
    CHECK_SAYS(error, part);
  }
  // Sizes are not checked for formats with standard sizes, nor for formats that Python cannot read.
  for (const char* format : {"=l", "3B", "BBBB"}) {
    CHECK(Buffer(nullptr, memory.data(), {.format = format, .item_size = 4, .shape = {2}}).size_bytes() == 8);
  }
}

TEST_CASE("the key of a buffer is escaped in a JSON pointer") {
  Host host(over_fixtures());
  const Module module = host.load("looks_at_a_buffer");
  const Buffer buffer = Buffer::of(std::vector<int>{1});
  REQUIRE_ERROR(slash, InvalidState, module.create(State{{"a/b~", 1}}.with("a/b~", buffer)));
  CHECK(slash.pointer() == "/a~1b~0");
  CHECK_SAYS(slash, "the buffer 'a/b~' has a key that is already in the state");
  REQUIRE_ERROR(broken, InvalidState, module.create(State().with("\xff", buffer)));
  CHECK_SAYS(broken, "is not valid UTF-8");
  CHECK_NOTHROW(broken.to_json().dump());
  REQUIRE_ERROR(state, InvalidState, module.create({{"\xff", 1}}));
  CHECK_NOTHROW(state.to_json().dump());
  CHECK(module.create(State{{"give", "v[0]"}, {"größe", 1}}.with("data", buffer).with("maß", buffer)).run() ==
        1);
}

TEST_CASE("memory is revoked while other threads use it, and within a service") {
  Host host(over_fixtures());
  const Module looks = host.load("looks_at_a_buffer");
  std::vector<int> numbers(16, 7);
  const Buffer lent = Buffer::borrow(std::span<const int>(numbers));
  std::atomic<int> wrong = 0;
  std::atomic<bool> begun = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const Instance instance = looks.create(State{{"give", "sum(v)"}}.with("data", lent));
      try {
        while (true) {
          if (instance.run() != 112) ++wrong;
          begun = true;
        }
      } catch (const Error& error) {
        if (error.exception().type != "BufferError") ++wrong;
      }
    });
  }
  while (!begun) std::this_thread::yield();
  while (!lent.revoke(std::chrono::seconds(1))) {
  }
  std::fill(numbers.begin(), numbers.end(), 0);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);

  const Buffer other = Buffer::borrow(std::span<const int>(numbers));
  host.services().provide("revoke", [&](const Json&) -> Json { return other.revoke(); });
  const std::string ask = "__import__('pyhost').services.revoke()";
  CHECK(looks.create(State{{"give", "[" + ask + ", v.release(), " + ask + "]"}}.with("data", other)).run() ==
        Json{false, nullptr, true});
}

TEST_CASE("revoke can wait without a limit") {
  Host host(over_fixtures());
  std::vector<int> numbers(3);
  const Buffer lent = Buffer::borrow(std::span<const int>(numbers));
  std::optional<Instance> keeps =
      host.load("looks_at_a_buffer").create(State{{"give", "1"}, {"keep", true}}.with("data", lent));
  CHECK_FALSE(lent.revoke(std::chrono::milliseconds::min()));
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    keeps.reset();
  });
  CHECK(lent.revoke(std::chrono::milliseconds::max()));
  later.join();
}

TEST_CASE("a result that is the host's own memory refers to that memory") {
  Host host(over_fixtures());
  std::vector<double> prices{1, 2, 3};
  const Buffer lent = Buffer::borrow(std::span<const double>(prices));
  const Buffer back = host.load("evaluates")
                          .create(State{{"give", "memoryview(state['data'])[1:]"}}.with("data", lent))
                          .run<Buffer>();
  CHECK(back.data() == &prices[1]);
  CHECK(back.as<double>()[1] == 3);
}

TEST_CASE("the buffer of a result refers to Python's memory, not to a copy") {
  Host host(over_fixtures());
  const Instance gives =
      host.load("evaluates")
          .create({{"first", "kept = state.setdefault('kept', bytearray(b'abc'))"}, {"give", "kept"}});
  const Buffer result = gives.run<Buffer>();
  CHECK(gives.run<Buffer>().data() == result.data());
  host.load("looks_at_a_buffer").create(State{{"give", "v.__setitem__(0, 65)"}}.with("data", result)).run();
  CHECK(result.as<char>()[0] == 'A');
  const_cast<char*>(static_cast<const char*>(result.data()))[1] = 'B';
  CHECK(host.load("looks_at_a_buffer")
            .create(State{{"give", "bytes(v).decode()"}}.with("data", result))
            .run() == "ABc");
}

TEST_CASE("a ctypes array without strides is accepted as a result") {
  Host host(over_fixtures());
  const auto result = [&](const std::string& give) {
    return host.load("evaluates").create({{"first", "import ctypes"}, {"give", give}}).run<Buffer>();
  };
  const Buffer row = result("(ctypes.c_double * 3)(1, 2, 3)");
  REQUIRE(row.as<double>().size() == 3);
  CHECK(row.as<double>()[2] == 3);
  const Buffer table = result("((ctypes.c_int * 3) * 2)((1, 2, 3), (4, 5, 6))");
  CHECK(table.layout().shape == std::vector<std::size_t>{2, 3});
  CHECK(table.layout().strides == std::vector<std::ptrdiff_t>{12, 4});
  CHECK(table.as<int>()[5] == 6);
  const Buffer one = result("ctypes.c_int(5)");
  CHECK(one.layout().shape.empty());
  CHECK(one.as<int>()[0] == 5);
}

TEST_CASE("elements are accessible as a span only if they are contiguous and aligned") {
  Host host(over_fixtures());
  const auto result = [&](const std::string& give) {
    return host.load("evaluates").create({{"give", give}}).run<Buffer>();
  };
  REQUIRE_ERROR(crooked, InvalidResult, result("memoryview(bytes(17))[1:].cast('d')").as<double>());
  CHECK_SAYS(crooked, "the buffer is not aligned for its elements: copy it");
  CHECK(result("memoryview(bytes(17))[1:1].cast('d')").as<double>().empty());
  CHECK(result("memoryview(bytes(range(3)))[::5]").as<unsigned char>().size() ==
        1);  // a single element is contiguous
  const Buffer image(nullptr, &host, {.shape = {1, 3}, .strides = {64, 1}});
  CHECK(image.is_contiguous());
  for (const char* text : {"b'abc'", "memoryview(b'abc').cast('b')", "memoryview(b'abc').cast('c')"}) {
    CHECK(result(text).as<char>()[1] == 'b');
  }
  CHECK(result("memoryview(b'abc').cast('c')").as<const unsigned char>()[1] == 'b');
  REQUIRE_ERROR(sign, InvalidResult, result("b'abc'").as<signed char>());
}

TEST_CASE("a run whose result is a buffer is cancelled at its deadline") {
  Host host(over_fixtures());
  const auto create = [&](const std::string& give) {
    return host.load("evaluates").create({{"give", give}});
  };
  CHECK(create("b'abc'").run<Buffer>({.timeout = std::chrono::minutes(1)}).size_bytes() == 3);
  REQUIRE_ERROR(late, TimedOut,
                create("__import__('threading').Event().wait()")
                    .run<Buffer>({.timeout = std::chrono::milliseconds(20)}));
  std::stop_source stop;
  stop.request_stop();
  REQUIRE_ERROR(stopped, Cancelled, create("b'abc'").run<Buffer>({.stop = stop.get_token()}));
}

TEST_CASE("a state with a buffer cannot be read back as JSON") {
  Host host(over_fixtures());
  const Instance looks = host.load("looks_at_a_buffer")
                             .create(State{{"give", "v[0]"}}.with("data", Buffer::of(std::vector<int>{7})));
  CHECK(looks.run() == 7);
  REQUIRE_ERROR(error, InvalidState, looks.state());
  CHECK(error.pointer() == "/data");
}
