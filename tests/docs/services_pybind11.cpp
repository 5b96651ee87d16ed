#include <pybind11/embed.h>

#include <iostream>
#include <memory>
#include <optional>
#include <pyhost/pyhost.hpp>

namespace py = pybind11;

struct Book {
  void add(double amount) { total += amount; }
  double total = 0;
};

const auto book = std::make_shared<Book>();  // shared with Python, so a shared_ptr holds it on both sides

PYBIND11_EMBEDDED_MODULE(ledger, module) {
  py::class_<Book, std::shared_ptr<Book>>(module, "Book")
      .def(py::init<>())
      .def("add", &Book::add)
      .def_readonly("total", &Book::total);
  module.def("book", [] { return book; });
}

int main() {
  pyhost::Host host;
  std::optional<pyhost::Instance> trade = host.load("trade").create({{"amounts", {2.5, 4}}});
  std::cout << trade->run() << " of " << book->total << '\n';
  std::cout << trade->run() << " of " << book->total << '\n';

  std::cout << std::boolalpha << "Python holds the book: " << (book.use_count() > 1) << '\n';
  trade.reset();
  std::cout << "Python holds the book: " << (book.use_count() > 1) << '\n';
}
