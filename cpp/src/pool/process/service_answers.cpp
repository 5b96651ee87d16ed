// An answer becomes a frame on the thread that called the service; the supervising thread sends it.
#include "pool/process/service_answers.hpp"

#include <exception>

namespace pyhost::detail {

namespace {

std::string raised_text(std::uint64_t number, const std::exception& failed) {
  return json_frame_text(
      FrameKind::Answer, number,
      Json{{"raised", {{"type", "std::exception"}, {"message", failed.what()}, {"kind", ""}}}});
}

}  // namespace

void ServiceAnswers::begin(std::uint64_t process, const WireFrame& question) {
  const std::uint64_t number = question.number;
  const auto answer = [this, process](std::string text) {
    {
      const std::lock_guard lock(mutex_);
      answers_.emplace_back(process, std::move(text));
    }
    on_answer_();
  };
  try {
    call_threads_.call([this, number, answer, content = json_of(question)] {
      std::string text;
      try {
        text = json_frame_text(FrameKind::Answer, number, services_.answer(content));
      } catch (const std::exception& failed) {
        text = raised_text(number, failed);
      }
      answer(std::move(text));
    });
  } catch (const Error& no_thread) {
    answer(raised_text(number, no_thread));
  }
}

void ServiceAnswers::send(std::uint64_t process, ProcessLink& link) {
  std::vector<std::pair<std::uint64_t, std::string>> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(answers_);
  }
  for (auto& [asker, text] : answers) {
    if (asker == process) link.put(std::move(text));
  }
}

}  // namespace pyhost::detail
