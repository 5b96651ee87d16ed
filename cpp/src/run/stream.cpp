// A stream is one run, which is entered again for each item.
#include "pyhost/stream.hpp"

#include <utility>

#include "convert/convert.hpp"
#include "interpreter/output.hpp"
#include "pyhost/module.hpp"
#include "run/borrowed_signals.hpp"
#include "run/cancellation.hpp"
#include "run/contract.hpp"
#include "run/handle_data.hpp"
#include "run/life_cycle.hpp"
#include "run/module_call.hpp"
#include "run/spans.hpp"

namespace pyhost {

using detail::CurrentRun;
using detail::GilAcquire;
using detail::ResultForm;
namespace py = detail::py;

struct detail::AnyStream::Data {
  std::shared_ptr<detail::InstanceData> instance;
  RunOptions options;
  detail::Cancellation::Clock::time_point begun = detail::Cancellation::Clock::now();
  detail::Cancellation::Clock::time_point timed_from = begun;
  RunId run = 0;
  py::object items = {};  // the generator, or the one result; null at the end
  ResultForm form = ResultForm::Result;
  detail::StreamSignals signals = {};

  Data(std::shared_ptr<detail::InstanceData> of, const RunOptions& how)
      : instance(std::move(of)), options(how) {}
  ~Data() { detail::release(instance->module->host->interpreter, items); }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  const detail::HostState& host() const { return *instance->module->host; }
  const std::string& module() const { return instance->module->name; }

  // Saves the signal handlers and the start of the timeout for the next step.
  class StepEnd {
   public:
    StepEnd(Data& data, const CurrentRun& here) : data_(data), here_(here) {}
    ~StepEnd() {
      data_.signals.after_step(static_cast<bool>(data_.items));
      // Waits that do not count have moved the start.
      const CurrentRun& whole = here_.is_part() ? *here_.outer() : here_;
      if (whole.cancellation()) data_.timed_from = whole.cancellation()->begun();
    }
    StepEnd(const StepEnd&) = delete;
    StepEnd& operator=(const StepEnd&) = delete;

   private:
    Data& data_;
    const CurrentRun& here_;
  };

  // Executes a step of the run. A step that fails is the last one.
  template <class Action>
  auto step(Action action) {
    return report_errors(host(), [&] {
      const GilAcquire gil;
      // If the host is closed or in another interpreter, no observer must be notified.
      if (!host().is_open() || !host().is_this_interpreter()) instance->check_open();
      const CurrentRun here = run == 0 ? CurrentRun(module()) : CurrentRun(module(), run);
      run = here.id();
      here.set_scheduled(options.scheduled.get());
      const detail::BorrowedSignals borrowed_signals(here);
      const StepEnd step_end(*this, here);
      return notify_failure_of(host().observers, module(), [&] {
        try {
          instance->check_open();
          if (!here.is_part())
            apply_limits(options, here, timed_from);  // otherwise the whole run has them already
          return action(here);
        } catch (...) {
          drop_items(here);
          if (instance.use_count() == 1) close_quietly(*instance, &here);
          report_span_of_run(true);
          throw;
        }
      });
    });
  }

  // A generator is closed before its object. An exception from it is reported, but does not replace the first
  // one.
  void drop_items(const CurrentRun& here) noexcept {
    const py::object dropped = std::move(items);
    if (!dropped || (form != ResultForm::Items && form != ResultForm::AsyncItems)) return;
    const py::error_scope kept;
    if (close_items(here, dropped.ptr(), form)) return;
    try {
      detail::throw_module_raised(Phase::Close, *instance->module);
    } catch (const Error& error) {
      host().notify_error(error);
    }
  }

  void begin() {
    step([&](const CurrentRun& here) {
      host().observers.notify(EventKind::RunStarted, module(), run, begun);
      items = detail::call_run(here, *instance);
      form = detail::result_form_of(items.ptr());
      if (form == ResultForm::AsyncItems) items = detail::in_one_task(items.ptr());
      if (!items) detail::throw_module_raised(Phase::Run, *instance->module);
      if (form != ResultForm::Awaitable) return;
      items = detail::awaited(here, *instance, items.ptr());
      form = ResultForm::Result;
    });
  }

  // Closes the object with the stream, if no other handle shares it.
  void end(const CurrentRun& here) {
    items = py::object();
    if (instance.use_count() == 1) close_instance(*instance, &here);
    host().observers.notify_end(EventKind::RunEnded, module(), here, begun, true);
    report_span_of_run(false);
  }

  void report_span_of_run(bool failed) const {
    if (!host().on_span) return;
    detail::notify_span(host().on_span, {.kind = SpanKind::Run,
                                         .module = module(),
                                         .run = run,
                                         .begin = begun,
                                         .end = detail::Cancellation::Clock::now(),
                                         .failed = failed});
  }

  template <class As>
  std::optional<typename As::Result> next(const As& how) {
    using Item = std::optional<typename As::Result>;
    if (!items) return Item();
    return step([&](const CurrentRun& here) -> Item {
      const bool only_one = form == ResultForm::Result;
      const py::object item = only_one ? items : next_of(here);
      if (!item) return end(here), std::nullopt;
      Item converted(std::in_place, convert_result(*instance->module->host, module(), run, item.ptr(), how));
      if (only_one) end(here);
      return converted;
    });
  }

  py::object next_of(const CurrentRun& here) {
    const auto failed = [] { return PyErr_Occurred() != nullptr; };
    py::object item =
        detail::finish_call(here, *instance, detail::next_item(here, items.ptr(), form).release().ptr());
    if (!item && failed()) detail::throw_module_raised(Phase::Run, *instance->module);
    return item;
  }

  void close() {
    if (!items) return;
    step([&](const CurrentRun& here) {
      const py::object closed = std::move(items);
      const bool ok = form == ResultForm::Result || close_items(here, closed.ptr(), form);
      detail::throw_if_cancelled(here, Phase::Close);
      if (!ok) detail::throw_module_raised(Phase::Close, *instance->module);
      detail::flush_output();
      end(here);
    });
  }
};

namespace detail {

AnyStream::AnyStream(std::unique_ptr<Data> data) : data_(std::move(data)) {}
AnyStream::AnyStream(AnyStream&& other) noexcept = default;

AnyStream& AnyStream::operator=(AnyStream&& other) noexcept {
  AnyStream before(std::move(*this));
  data_ = std::move(other.data_);
  return *this;
}

AnyStream::~AnyStream() {
  try {
    if (data_) data_->close();
  } catch (...) {
    // The error was reported already, and a destructor cannot throw.
  }
}

bool AnyStream::yields() const noexcept { return data_ && data_->form != ResultForm::Result; }

void AnyStream::close() {
  if (data_) data_->close();
}

template <class As>
std::optional<typename As::Result> AnyStream::next_as(const As& how) {
  return data_ ? data_->next(how) : std::nullopt;
}

template std::optional<Json> AnyStream::next_as(const AsJson&);
template std::optional<std::string> AnyStream::next_as(const AsText&);
template std::optional<Buffer> AnyStream::next_as(const AsBuffer&);
template std::optional<std::monostate> AnyStream::next_as(const AsTyped&);

}  // namespace detail

detail::AnyStream Instance::open_stream(const RunOptions& options) const {
  static_cast<void>(detail::require_handle(data_));
  auto data = std::make_unique<detail::AnyStream::Data>(data_, options);
  data->begin();
  return detail::AnyStream(std::move(data));
}

}  // namespace pyhost
