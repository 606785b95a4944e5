// An actor whose simulator only numbers its batches, and that keeps a diary of their delivery.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <headrace/headrace.hpp>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "options.hpp"
#include "stopping.hpp"

namespace {

using headrace::Array;
using headrace::Seconds;

/// Appends entries, each with one write: they survive a kill -9 of the writer.
class Diary {
 public:
  explicit Diary(const std::string& path)
      : file_(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600)) {
    if (file_ < 0) throw headrace::ConfigError("cannot open the diary " + path);
  }
  ~Diary() { close(file_); }
  Diary(const Diary&) = delete;
  Diary& operator=(const Diary&) = delete;

  void write(const std::string& kind, const std::vector<std::uint64_t>& fields) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    std::ostringstream line;
    line << std::fixed << std::setprecision(9) << "[" << Seconds(now).count() << ",\"" << kind
         << "\"";
    for (const std::uint64_t field : fields) line << "," << field;
    line << "]\n";
    const std::string text = line.str();
    if (::write(file_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      throw headrace::Error("cannot write the diary");
    }
  }

 private:
  int file_;
};

struct BatchMark {
  std::uint64_t actor;
  std::uint64_t life;
  std::uint64_t number;
};

Array repeat(const std::vector<float>& row, std::uint64_t rows) {
  std::vector<float> elements;
  for (std::uint64_t at = 0; at < rows; ++at)
    elements.insert(elements.end(), row.begin(), row.end());
  return Array::of({rows, row.size()}, elements);
}

Array marked_column(const headrace::ColumnSpec& column, const BatchMark& mark,
                    std::uint64_t steps) {
  constexpr std::uint64_t base = 1 << 20;
  if (column.name == headrace::observation_column) {
    const auto real = [](std::uint64_t number) { return static_cast<float>(number); };
    return repeat(
        {real(mark.actor), real(mark.life), real(mark.number / base), real(mark.number % base)},
        steps + 1);
  }
  if (column.name == headrace::reward_column) {
    return Array::of(std::vector<float>(steps, static_cast<float>(mark.number % 1000)));
  }
  headrace::Shape shape{steps};
  shape.insert(shape.end(), column.shape.begin(), column.shape.end());
  return Array(column.dtype, shape);
}

/// A batch of one chunk, a whole episode, with its mark in every observation.
headrace::TrajectoryBatch marked_batch(const BatchMark& mark, std::uint64_t steps,
                                       const headrace::ModuleManifest& manifest) {
  headrace::Chunk chunk;
  const std::array<std::uint64_t, 2> id{mark.actor, mark.number};
  std::memcpy(chunk.episode_id.data(), id.data(), chunk.episode_id.size());
  chunk.length = chunk.episode_length = steps;
  chunk.terminated = true;
  chunk.episode_return = static_cast<double>(steps);
  chunk.episode_s = 1.0;
  headrace::ModuleTrajectories module{{headrace::default_agent}, {chunk}, {}};
  for (const auto& column : manifest.columns) {
    module.columns.push_back({column.name, marked_column(column, mark, steps)});
  }
  return {{headrace::default_module, module}};
}

class ScriptedActor {
 public:
  ScriptedActor(const Options& options, Stopping& stopping)
      : options_(options),
        stopping_(stopping),
        actor_(options.natural("--actor")),
        life_(options.natural("--life")),
        diary_(options.text("--diary")),
        client_(client_config()) {}

  void run() {
    while (!stopping_.is_set()) {
      const auto permit = client_.begin(Seconds(0.2));
      note_acknowledged();
      if (permit) produce(*permit);
    }
    await_the_end_of_all_batches();
    const headrace::Totals totals = client_.totals();
    diary_.write("ended", {actor_, life_, totals.stale, totals.rejected, totals.dropped,
                           client_.unacknowledged()});
    client_.close();
  }

 private:
  headrace::ClientConfig client_config() {
    headrace::ClientConfig config;
    config.address = options_.text("--address");
    config.actor = "actor-" + std::to_string(actor_);
    config.client = "headrace cpp chaos";
    config.on_transmitted = [this](std::uint64_t seq) {
      diary_.write("transmitted", {actor_, life_, seq});
    };
    return config;
  }

  void produce(const headrace::BatchPermit& permit) {
    const std::uint64_t steps =
        std::min(options_.natural("--batch-env-steps"), permit.credit.fragment_steps);
    stopping_.wait(std::chrono::duration_cast<std::chrono::nanoseconds>(
        Seconds(options_.number("--pause-s"))));
    ++number_;
    const auto& module = permit.update->policy->manifest.modules.at(headrace::default_module);
    const auto batch = marked_batch({actor_, life_, number_}, steps, module);
    diary_.write("produced", {actor_, life_, number_});
    if (client_.push(batch, *permit.update, steps) != number_) {
      throw headrace::Error("an actor's batches are numbered without gaps");
    }
  }

  void await_the_end_of_all_batches() {
    const auto end =
        headrace::after(std::chrono::steady_clock::now(), Seconds(options_.number("--drain-s")));
    std::mutex mutex;
    std::condition_variable nothing;
    std::unique_lock lock(mutex);
    while (client_.unacknowledged() > 0 && std::chrono::steady_clock::now() < end) {
      note_acknowledged();
      nothing.wait_for(lock, std::chrono::milliseconds(100));
    }
    note_acknowledged();
  }

  void note_acknowledged() {
    const std::uint64_t acknowledged = number_ - client_.unacknowledged();
    if (acknowledged == acknowledged_) return;
    acknowledged_ = acknowledged;
    diary_.write("acknowledged", {actor_, life_, acknowledged});
  }

  const Options& options_;
  Stopping& stopping_;
  std::uint64_t actor_;
  std::uint64_t life_;
  std::uint64_t number_ = 0;
  std::uint64_t acknowledged_ = 0;
  Diary diary_;
  headrace::Client client_;
};

}  // namespace

int main(int count, char** words) {
  const Options options(count, words,
                        {{"--address", headrace::default_address},
                         {"--diary", "actor.diary"},
                         {"--actor", "0"},
                         {"--life", "0"},
                         {"--batch-env-steps", "20"},
                         {"--pause-s", "0"},
                         {"--drain-s", "60"}});
  Stopping stopping;
  ScriptedActor(options, stopping).run();
}
