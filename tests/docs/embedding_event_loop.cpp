#include <chrono>
#include <condition_variable>
#include <functional>
#include <iostream>
#include <mutex>
#include <pyhost/pyhost.hpp>
#include <queue>
#include <stop_token>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

// Stands for the event loop of your framework.
class EventLoop {
 public:
  void post(std::function<void()> task) {  // from any thread
    const std::lock_guard lock(mutex_);
    tasks_.push(std::move(task));
    posted_.notify_one();
  }
  void quit() { quit_ = true; }  // from a task
  void run() {
    while (!quit_) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [this] { return !tasks_.empty(); });
      const std::function<void()> task = std::exchange(tasks_.front(), {});
      tasks_.pop();
      lock.unlock();
      task();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::queue<std::function<void()>> tasks_;
  bool quit_ = false;
};

int main() {
  EventLoop loop;
  pyhost::Host host;
  std::jthread runner([&](const std::stop_token& stop) {
    std::function<void()> show;
    try {
      const pyhost::Json result =
          host.run("pricing", {{"pieces", 3}, {"each", 2.5}}, {.timeout = 30s, .stop = stop});
      show = [result] { std::cout << result << '\n'; };
    } catch (const pyhost::Error& error) {
      show = [error] { std::cout << error.what() << '\n'; };
    }
    loop.post([&loop, show] {  // on the thread of the loop, which may touch the window
      show();
      loop.quit();
    });
  });
  std::cout << "the loop is not blocked\n";
  loop.run();
}  // ~jthread cancels a run in progress and waits for it, then ~Host closes the host
